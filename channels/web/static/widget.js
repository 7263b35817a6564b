/* Parley's web widget. One tag puts it on a page:

     <script src="https://parley.example/web/KEY/widget.js" defer></script>

   A <parley-chat> element that the page already holds is used, and may carry theme="light|dark" and side="left";
   otherwise one is added at the end of the body. The page's own policy needs this server in script-src and connect-src, nothing inline. */
(() => {
  const script = document.currentScript ?? document.querySelector('script[src*="/web/"][src*="/widget.js"]');
  const base = new URL(".", script.src);
  import(new URL("view.js", base).href)
    .then(({ install }) => install(base))
    .catch((error) => console.error("The chat widget could not be loaded.", error));
})();
