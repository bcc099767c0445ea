// The log view's own style sheet: loaded with the view, so that no other page pays for it.

const HREF = "/console/static/logs.css";

/** Resolves when the style is there; a view drawn before would jump. */
export const styled = new Promise((resolve, reject) => {
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: HREF });
  link.onload = resolve;
  link.onerror = () => reject(new Error("The style of this page could not be loaded."));
  document.head.append(link);
});
