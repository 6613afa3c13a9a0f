// Keeps what is shown now up to date, and says so when the box cannot be reached. Without it everything else works.
"use strict";
const gone = document.getElementById("gone");
const live = document.getElementById("live");
const question = document.getElementById("question");
async function text(path) {
  const answer = await fetch(path, { cache: "no-store", redirect: "error" });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.text();
}
function seen(part) {
  return part.querySelector("[data-seen]")?.dataset.seen ?? "";
}
async function lookForQuestion() {
  const fresh = document.createElement("template");
  fresh.innerHTML = await text("/question");
  const typing = question.contains(document.activeElement);
  if (seen(fresh.content) !== seen(question) && !(typing && seen(fresh.content))) question.replaceChildren(fresh.content);
}
async function look() {
  if (document.hidden) return;
  try {
    const now = await text(live ? "/now" : "/alive");
    gone.hidden = true;
    if (question) await lookForQuestion();
    if (!live) return;
    const open = [...live.querySelectorAll("details")].map((part) => part.open);
    live.innerHTML = now;
    live.querySelectorAll("details").forEach((part, index) => { part.open = Boolean(open[index]); });
  } catch (error) {
    gone.hidden = false;
  }
}
setInterval(look, 2000);
