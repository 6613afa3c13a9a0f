// Keeps what is shown now up to date, and says so when the box cannot be reached. Without it everything else works.
"use strict";
const gone = document.getElementById("gone");
const live = document.getElementById("live");
async function look() {
  if (document.hidden) return;
  try {
    const answer = await fetch(live ? "/now" : "/alive", { cache: "no-store", redirect: "error" });
    if (!answer.ok) throw new Error(String(answer.status));
    gone.hidden = true;
    if (!live) return;
    const open = [...live.querySelectorAll("details")].map((part) => part.open);
    live.innerHTML = await answer.text();
    live.querySelectorAll("details").forEach((part, index) => { part.open = Boolean(open[index]); });
  } catch (error) {
    gone.hidden = false;
  }
}
setInterval(look, 2000);
