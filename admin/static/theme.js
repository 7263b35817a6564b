/* Loaded blocking in <head>, so that a forced theme, a collapsed navigation and script-only controls never flash. */
(() => {
  const root = document.documentElement;
  root.dataset.script = "";
  try {
    const theme = localStorage.getItem("parley-theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    if (localStorage.getItem("parley-rail") === "1") root.dataset.rail = "1";
  } catch {
    /* A browser that keeps nothing follows the system. */
  }
  /* The server writes times in the zone of whoever reads them. */
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  document.cookie = `parley_zone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax`;
})();
