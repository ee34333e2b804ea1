// Search among the questions that the page holds, and of several labels' tables show the one chosen.
// Texts are only ever set as text.
"use strict";
(() => {
  const PAGE = 20;
  const shelves = JSON.parse(document.getElementById("question-data").textContent);
  const found = (id) => document.getElementById(id);
  const [words, exam, model, list, status, more] = ["words", "exam", "model", "found", "status", "more"].map(found);
  const make = (tag, text, kind) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (kind) element.className = kind;
    return element;
  };
  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const verdict = (right) => {
    const mark = make("span", right ? "✓" : "✗", right ? "right" : "wrong");
    mark.append(make("span", right ? " right" : " wrong", "hidden"));
    return mark;
  };
  const letter = (index) => (index < 26 ? String.fromCharCode(65 + index) : String(index + 1));
  const named = (row, indexes) => indexes.map((index) => `${letter(index)}. ${row.o[index]}`).join("; ");

  const option = (select, value, text) => {
    const each = make("option", text);
    each.value = value;
    select.append(each);
  };
  for (const group of document.querySelectorAll(".labels")) {
    const tables = [...group.children], chosen = make("select"), name = make("label", "Scores by ");
    if (tables.length < 2) continue;
    tables.forEach((each, number) => option(chosen, number, each.dataset.label));
    const show = () => tables.forEach((each, number) => (each.hidden = number !== Number(chosen.value)));
    chosen.addEventListener("change", () => { show(); tables[chosen.value].open = true; });
    name.append(chosen);
    group.prepend(name);
    show();
  }
  if (!list) return;

  for (const shelf of shelves)
    for (const row of shelf.rows) {
      row.differ = new Set(row.a.map((each) => each.c)).size > 1;
      row.text = plain([row.id, row.q, ...row.o, ...row.l, ...row.a.map((each) => each.s || "")].join("\n"));
    }

  const models = (chosen) => {
    model.replaceChildren();
    option(model, "", "whatever the answers");
    option(model, "differ", "models differ");
    option(model, "none", "nobody right");
    option(model, "all", "everybody right");
    shelves[exam.value].models.forEach((name, number) => {
      option(model, `only ${number}`, `only ${name} right`);
      option(model, `right ${number}`, `${name} right`);
      option(model, `wrong ${number}`, `${name} wrong`);
    });
    const known = [...model.options].some((each) => each.value === chosen);
    model.value = known ? chosen : "";
    if (chosen === "differ" && !shelves[exam.value].rows.some((row) => row.differ)) model.value = "";
  };
  const fits = (row) => {
    const [what, number] = model.value.split(" ");
    const right = row.a.filter((each) => each.c).length;
    if (what === "differ") return row.differ;
    if (what === "none") return right === 0;
    if (what === "all") return right === row.a.length;
    if (what === "only") return right === 1 && row.a[number].c === 1;
    if (what === "right") return row.a[number].c === 1;
    if (what === "wrong") return row.a[number].c === 0;
    return true;
  };

  const shown = (shelf, row) => {
    const all = make("details"), line = make("summary");
    row.a.forEach((each) => line.append(verdict(each.c), " "));
    line.append(make("span", row.id, "count"), ` ${row.q.length > 110 ? row.q.slice(0, 109) + "…" : row.q}`);
    all.append(line);
    all.addEventListener("toggle", () => {
      if (all.childElementCount > 1) return;
      all.append(make("div", row.q, "text"));
      const options = make("ul", undefined, "answers");
      row.o.forEach((text, index) => {
        const each = make("li");
        if (row.r.includes(index)) each.append(make("strong", `${letter(index)}. ${text}`), make("span", " right answer", "count"));
        else each.append(`${letter(index)}. ${text}`);
        options.append(each);
      });
      const answers = make("ul", undefined, "answers");
      row.a.forEach((answer, number) => {
        const each = make("li");
        each.append(verdict(answer.c), " ", make("strong", shelf.models[number]), ` ${named(row, answer.i)}`);
        if (answer.s) each.append(make("div", answer.s, "text"));
        answers.append(each);
      });
      all.append(options, answers);
      if (row.l.length) all.append(make("p", row.l.join(" · "), "soft"));
    });
    return all;
  };

  let hits = [], at = 0;
  const turn = () => {
    const shelf = shelves[exam.value], first = at;
    hits.slice(at, (at += PAGE)).forEach((row) => list.append(shown(shelf, row)));
    more.hidden = at >= hits.length;
    if (first) list.children[first].firstElementChild.focus();
  };
  const search = () => {
    const wanted = plain(words.value).split(/\s+/).filter(Boolean);
    hits = shelves[exam.value].rows.filter((row) => fits(row) && wanted.every((word) => row.text.includes(word)));
    list.replaceChildren();
    at = 0;
    turn();
    const rows = shelves[exam.value].rows.length;
    status.textContent = `${hits.length.toLocaleString("en")} of ${rows.toLocaleString("en")} questions`;
  };

  shelves.forEach((shelf, number) => option(exam, number, shelf.name));
  models("differ");
  let waiting;
  words.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(search, 120);
  });
  exam.addEventListener("change", () => { models(model.value); search(); });
  model.addEventListener("change", search);
  more.addEventListener("click", turn);
  found("filters").hidden = false;
  found("few").hidden = true;
  search();
})();
