/* Hear that something happened. The stream says only that; the page then fetches through its normal, access-checked view. */

const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 30_000;
const POLL_MS = 5000;
const HIDDEN_GRACE_MS = 30_000;

/**
 * Call `wake` whenever the stream at `url` says that something happened, and whenever something may have been missed.
 *
 * A stream that breaks is opened again, later each time; meanwhile `wake` is called every 5 s. A page that nobody sees lets its
 * stream go, because a browser holds only six connections to one server, and looks again when it is seen. Returns a function that
 * ends it all.
 */
export function listen(url, wake) {
  let source = null;
  let failures = 0;
  let retry, poll, hide;
  let ended = false;

  function close() {
    source?.close();
    source = null;
    clearTimeout(retry);
  }

  function stopPolling() {
    clearInterval(poll);
    poll = undefined;
  }

  function open() {
    close();
    if (ended) return;
    source = new EventSource(url);
    source.addEventListener("open", () => {
      stopPolling();
      failures = 0;
      wake(); /* for what happened between the page and its stream */
    });
    source.addEventListener("wake", wake);
    source.addEventListener("error", () => {
      close();
      const pause = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures) * (0.75 + Math.random() / 2);
      failures += 1;
      retry = setTimeout(open, pause);
      poll ??= setInterval(wake, POLL_MS);
    });
  }

  function rest() {
    close();
    stopPolling();
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(hide);
    if (document.hidden) hide = setTimeout(rest, HIDDEN_GRACE_MS);
    else if (!source) open();
  });
  addEventListener("pagehide", rest);
  addEventListener("pageshow", (event) => event.persisted && open());
  open();

  return () => {
    ended = true;
    clearTimeout(hide);
    rest();
  };
}

/** Return a function that runs `work` at once, and at most once in `gap` milliseconds however often it is called. */
export function paced(work, gap) {
  let last = -Infinity;
  let timer;
  return () => {
    if (timer) return;
    const wait = Math.max(0, last + gap - performance.now());
    timer = setTimeout(() => {
      timer = undefined;
      last = performance.now();
      work();
    }, wait);
  };
}
