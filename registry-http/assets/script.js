"use strict";
// What pages do beyond what they do without a script: copy, search while typing, and choose many at once.
// Before anything is shown, so that nothing moves afterwards.
document.documentElement.classList.add("js");

document.addEventListener("DOMContentLoaded", () => {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const text = button.dataset.copy;
    let done = false;
    try {
      await navigator.clipboard.writeText(text);
      done = true;
    } catch {
      // Without TLS there is no clipboard; the older way asks for a selection.
      const area = document.createElement("textarea");
      area.value = text;
      area.className = "hidden";
      document.body.append(area);
      area.select();
      done = document.execCommand("copy");
      area.remove();
    }
    button.dataset.state = done ? "done" : "failed";
    say(done ? "Copied" : "Copying is not allowed here");
    setTimeout(() => delete button.dataset.state, 1500);
  });

  const voice = document.createElement("p");
  voice.className = "hidden";
  voice.setAttribute("role", "status");
  document.body.append(voice);
  const say = (text) => { voice.textContent = text; };

  document.addEventListener("keydown", (event) => {
    const search = document.querySelector("[data-search]");
    if (event.key !== "/" || !search || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select")) return;
    event.preventDefault();
    search.focus();
    search.select();
  });

  // Search while typing.
  for (const form of document.querySelectorAll("form[data-live]")) {
    let timer, running;
    form.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(async () => {
        running?.abort();
        running = new AbortController();
        const address = new URL(form.action);
        address.search = new URLSearchParams(new FormData(form));
        try {
          if (!await renew(form.dataset.live, address, running.signal)) return;
          history.replaceState(null, "", address);
          arm();
        } catch (error) {
          if (error.name !== "AbortError") form.submit();
        }
      }, 150);
    });
  }

  // The same page is asked for, and its results take the place of those shown.
  async function renew(id, address, signal) {
    const answer = await fetch(address, { signal, redirect: "error" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.getElementById(id);
    if (!answer.ok || !found) return false;
    // What was opened stays open, and where one is stays where one is.
    for (const open of document.querySelectorAll(`#${id} details[open][id]`)) {
      found.querySelector(`#${open.id}`)?.setAttribute("open", "");
    }
    const focused = document.activeElement?.id;
    document.getElementById(id).replaceWith(found);
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    return true;
  }

  // Watching: when something happens the page is made anew, and from time to time, as uploads go on without a word.
  if (document.querySelector("[data-watch], [data-renew]")) {
    const watched = () => document.querySelector("[data-watch], [data-renew]");
    const pause = () => watched().hasAttribute("data-busy") ? 1000 : 1000 * (watched().dataset.renew || 5);
    let timer;
    const soon = (delay) => {
      clearTimeout(timer);
      timer = setTimeout(async () => {
        // Without an answer, as while a server starts anew, it is tried again.
        try { if (!document.hidden) await renew(watched().id, location.href); } catch {}
        soon(pause());
      }, delay);
    };
    const stream = watched().dataset.watch;
    if (stream) new EventSource(stream).addEventListener("message", () => soon(100));
    soon(Math.min(pause(), stream ? 1000 : Infinity));
  }

  // Choosing: all at once, a row of them with shift, and a button that tells how many.
  function arm() {
    for (const form of document.querySelectorAll("form[data-choose]")) {
      const boxes = [...form.querySelectorAll("input[type=checkbox][name]")];
      const button = form.querySelector("[data-needs-choice]");
      const all = form.querySelector("input.all");
      if (!button || !all || !boxes.length) continue;
      const update = () => {
        const chosen = boxes.filter((box) => box.checked).length;
        button.disabled = !chosen;
        button.textContent = chosen ? `Delete ${chosen} chosen…` : "Delete chosen…";
        all.checked = chosen === boxes.length;
        all.indeterminate = chosen > 0 && chosen < boxes.length;
      };
      all.addEventListener("change", () => {
        for (const box of boxes) box.checked = all.checked;
        update();
      });
      let last;
      boxes.forEach((box, index) => box.addEventListener("click", (event) => {
        if (event.shiftKey && last !== undefined) {
          for (let at = Math.min(last, index); at <= Math.max(last, index); at++) boxes[at].checked = box.checked;
        }
        last = index;
        update();
      }));
      update();
    }
  }
  arm();
});
