// Sends the form of the next batch until there is none. Without this, its buttons do the same.
const SECONDS_UNTIL_RETRY = 5;
let isStopped = false;
let wake = () => {};

function pause(seconds) {
  return new Promise((resolve) => {
    wake = resolve;
    setTimeout(resolve, isStopped ? 0 : 1000 * seconds);
  });
}

function listen(form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    wake();
  });
  // What is under way is waited for, so that what the next page reports is what was done.
  form.querySelector("[name=stop]").addEventListener("click", () => {
    isStopped = true;
  });
}

async function send(form) {
  const body = new FormData(form);
  if (isStopped) body.append("stop", "1");
  // Not form.action: the form has a field of that name.
  const address = form.getAttribute("action");
  try {
    const answer = await fetch(address, { method: "POST", body, redirect: "manual" });
    return answer.status >= 500 ? null : answer;
  } catch (error) {
    return null; // such as while the web server restarts
  }
}

async function goOn() {
  const form = document.getElementById("pw-progress");
  listen(form);
  await pause(Number(form.dataset.pause));
  let answer = await send(form);
  while (answer === null) {
    document.getElementById("pw-lost").hidden = false;
    await pause(SECONDS_UNTIL_RETRY);
    answer = await send(form);
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (answer.type === "opaqueredirect") {
    location.assign(form.getAttribute("action"));
  } else if (page.getElementById("pw-progress")) {
    document.body.replaceWith(page.body);
    goOn();
  } else {
    HTMLFormElement.prototype.submit.call(form);
  }
}

goOn();
