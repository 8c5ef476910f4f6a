// Rejects: rejected records by rule; replay them after a fix, or dismiss them.
import {
  C, Choice, Confirm, Count, Empty, Fetched, Field, Filters, Narrow, Pager, React, Section, Start, State, Table, Time, Title, To,
  act, dagTo, h, number, pageTo, plural, runTo, useApi, useQuery, useRights, useState,
} from "../kit.js";
import { Inside, RecordId, RESOURCES, usePractice } from "../record.js";

const STATES = [["open", "open"], ["dismissed", "dismissed"], ["resolved", "resolved"]];
const PULL_STEPS = ["map", "check", "load"];
const dagOf = (step, dag) => dag(step === "push" ? "ecw_push_patients" : "ecw_pull");
const same = (one, query) => one.resource === query.resource && one.step === query.step && one.rule === query.rule && (one.column || WHOLE) === query.column;
const WHOLE = "-"; // the reason is about the record and not about a field

const Groups = ({ practice, state, resource }) => {
  const [query, change] = useQuery();
  const groups = useApi("rejects/groups", { practice, state, resource });
  const columns = [
    { title: "Rule", cell: (row) => h(C.Box, null,
      h(C.Button, { size: "xs", variant: same(row, query) ? "solid" : "ghost", px: 2, ml: same(row, query) ? 0 : -2, "aria-pressed": same(row, query), onClick: () => change({ resource: row.resource, step: row.step, rule: row.rule, column: row.column || WHOLE }) }, row.rule),
      h(Narrow, null, `${row.column || "the record"} · ${row.resource} · oldest `, h(Time, { at: row.oldest, ago: true }))) },
    { title: "Field", hide: "base", cell: (row) => row.column || h(C.Text, { as: "span", color: "fg.muted" }, "the record") },
    { title: "Resource", hide: "base", cell: (row) => row.resource },
    { title: "Step", cell: (row) => row.step, hide: "base" },
    { title: "Records", align: "end", cell: (row) => h(Count, { value: row.records, label: `rejects by ${row.rule}`, to: pageTo("rejects", { practice, state, resource: row.resource, step: row.step, rule: row.rule, column: row.column || WHOLE }) }) },
    { title: "Oldest", hide: "base", cell: (row) => h(Time, { at: row.oldest, ago: true }) },
  ];
  return h(Fetched, { of: groups }, ({ groups: rows }) => rows.length
    ? h(Section, { title: "By rule" }, h(Table, { caption: "Rejects by rule", columns, rows, keyOf: (row) => [row.resource, row.step, row.rule, row.column].join(" ") }))
    : h(Section, null, h(Empty, { title: state === "open" ? "Nothing is rejected." : `No reject is ${state}.` },
        state === "open" ? "Every pulled record is in the CRM. A record that breaks a rule is listed here, with its reason." : "Choose another state above.")));
};

const Dismiss = ({ practice, resource, ids, done }) => {
  const [note, setNote] = useState("");
  const { act: rights, dag } = useRights(practice);
  const allowed = rights.includes(dag("ecw_replay"));
  const button = h(C.Button, { size: "sm", variant: "outline", disabled: !ids.length || !allowed, title: allowed ? undefined : `You may not trigger ${dag("ecw_replay")}.` }, "Dismiss…");
  return h(Confirm, { title: `Dismiss ${plural(ids.length, "record")}`, yes: "Dismiss", button,
    onYes: async () => { await act("rejects/dismiss", { practice, resource, ids, note }); setNote(""); done(); } },
    h(C.Text, { mb: 3 }, "They stay out of the CRM, and no longer count as open until their content in eCW changes. The Integration Logs record your name and the note."),
    h("label", null, h(C.Text, { as: "span", fontSize: "sm" }, "Why may they stay out? Do not write patient data."),
      h(C.Textarea, { value: note, maxLength: 500, mt: 1, onChange: (event) => setNote(event.target.value), placeholder: "a test chart of the clinic" })));
};

const Reopen = ({ practice, resource, ids, done }) => {
  const { act: rights, dag } = useRights(practice);
  return h(C.Button, { size: "sm", variant: "outline", disabled: !ids.length || !rights.includes(dag("ecw_replay")),
    onClick: async () => { await act("rejects/reopen", { practice, resource, ids }); done(); } }, "Open again");
};

const Records = ({ practice, dag, state }) => {
  const [query] = useQuery();
  const { resource, step, rule, column, run, record, cursor } = query;
  const page = useApi("rejects", { practice, state, resource, step, rule, column, run, record, cursor });
  const [chosen, setChosen] = useState(new Set());
  React.useEffect(() => setChosen(new Set()), [practice, state, resource, step, rule, cursor]);
  const keyOf = (row) => [row.resource, row.ecw_id, row.step, row.rule, row.column].join(" ");
  const flip = (row) => setChosen((before) => { const next = new Set(before); const key = keyOf(row); if (!next.delete(key)) next.add(key); return next; });
  return h(Fetched, { of: page }, ({ rejects: rows, next }) => {
    const mine = rows.filter((row) => chosen.has(keyOf(row)));
    const resources = [...new Set(mine.map((row) => row.resource))];
    const ids = [...new Set(mine.map((row) => row.ecw_id))];
    const replayable = mine.filter((row) => PULL_STEPS.includes(row.step));
    const done = () => { setChosen(new Set()); page.reload(); };
    const everything = rows.length > 0 && rows.every((row) => chosen.has(keyOf(row)));
    const select = {
      all: h("input", { type: "checkbox", "aria-label": "Choose all of this page", checked: everything, onChange: () => setChosen(everything ? new Set() : new Set(rows.map(keyOf))) }),
      cell: (row) => h("input", { type: "checkbox", "aria-label": `Choose ${row.ecw_id}`, checked: chosen.has(keyOf(row)), onChange: () => flip(row) }),
    };
    const columns = [
      { title: "Record", cell: (row) => h(C.Box, null, h(RecordId, { practice, record: row }), h(Narrow, null, `${row.column ? `${row.column}: ` : ""}${row.reason} · `, h(Time, { at: row.since, ago: true }))) },
      { title: "Reason", hide: "base", cell: (row) => h(C.Text, { fontSize: "sm", whiteSpace: "normal", minW: "200px" }, row.column ? h(C.Text, { as: "span", fontFamily: "mono" }, `${row.column}: `) : null, row.reason) },
      ...(rule ? [] : [{ title: "Rule", cell: (row) => row.rule, hide: "base" }]),
      { title: "Resource", cell: (row) => row.resource, hide: "base" },
      { title: "Since", hide: "base", cell: (row) => h(Time, { at: row.since, ago: true }) },
      ...(state === "open" ? [] : [{ title: "State", cell: (row) => h(State, { value: row.state }) }]),
    ];
    const actions = state === "resolved" ? null : [
      state === "open"
        ? h(Start, { key: "replay", dag: dag("ecw_replay"), label: replayable.length ? `Replay ${number(new Set(replayable.map((row) => row.ecw_id)).size)}` : rule ? "Replay the rule" : "Replay all",
            variant: "solid", conf: { resources: replayable.length ? [...new Set(replayable.map((row) => row.resource))] : resource ? [resource] : [], rule: rule ?? "", run: run ?? "", ids: [...new Set(replayable.map((row) => row.ecw_id))] },
            explain: "Use it after you fixed a mapping, a crosswalk or a rule: the staged records are mapped, checked and loaded again. Records that are still wrong stay rejected." })
        : null,
      resources.length <= 1
        ? h(state === "open" ? Dismiss : Reopen, { key: "dismiss", practice, resource: resources[0] ?? resource, ids, done })
        : h(C.Text, { key: "one", fontSize: "sm", color: "fg.muted" }, "Dismiss records of one resource at a time."),
    ];
    if (!rows.length) return h(Section, null, h(Empty, { title: "No reject fits the filters." }, "Remove a filter, or choose another state."));
    return h(Section, { title: rule ? `${rule}${column && column !== WHOLE ? ` in ${column}` : ""}` : "Records", actions },
      h(Table, { caption: "Rejected records", columns, rows, keyOf, select, detail: (row) => h(Detail, { practice, dag, row }) }), h(Pager, { next }));
  });
};

const Detail = ({ practice, dag, row }) => h(Inside, null, h(C.Stack, { gap: 1, fontSize: "sm" },
  h(C.Text, null, `${row.step} · ${row.rule}${row.column ? ` · ${row.column}` : ""}: ${row.reason}`),
  h(C.Text, null, "First found by ", h(To, { to: runTo(dagOf(row.step, dag), row.first_run) }, row.first_run), ", last by ", h(To, { to: runTo(dagOf(row.step, dag), row.last_run) }, row.last_run)),
  row.step === "push" ? h(C.Text, { color: "fg.muted" }, "A reject of the push is resolved by itself when the patient is corrected in the CRM.") : null,
  row.rule === "unmapped code" ? h(To, { to: pageTo("mappings", { practice, resource: row.resource }) }, "The crosswalk and its unmapped codes") : null));

export default function Rejects() {
  const [query, change] = useQuery();
  const { practice, dag, picker, error, loading, none } = usePractice();
  const state = query.state ?? "open";
  const clear = { step: undefined, rule: undefined, column: undefined };
  if (error || loading) return h(Fetched, { of: { error, loading } }, () => null);
  if (none) return h(C.Box, null, h(Title, null, "Rejects"), h(Filters, null, picker), h(Section, null, h(Empty, { title: "Nothing has been pulled yet." }, "Unpause ", h(To, { to: dagTo(dag("ecw_pull")) }, dag("ecw_pull")), "; this page then lists the rejected records.")));
  return h(C.Box, null,
    h(Title, { subtitle: "Records that were not loaded into the CRM, or not sent to eCW, each with its reason." }, "Rejects"),
    h(Filters, null, picker,
      h(Choice, { label: "State", value: state, options: STATES, any: null, onChange: (value) => change({ state: value, ...clear }) }),
      h(Choice, { label: "Resource", value: query.resource, options: RESOURCES, onChange: (value) => change({ resource: value, ...clear }) }),
      h(Field, { label: "Record (eCW id)", value: query.record, onChange: (value) => change({ record: value }) }),
      h(Field, { label: "Run", value: query.run, maxLength: 250, onChange: (value) => change({ run: value }) }),
      query.rule ? h(C.Button, { size: "sm", variant: "ghost", onClick: () => change(clear) }, `All rules`) : null),
    h(Groups, { practice, state, resource: query.resource }),
    h(Records, { practice, dag, state }));
}
