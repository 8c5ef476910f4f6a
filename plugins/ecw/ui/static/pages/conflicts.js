// Conflicts and matches: what waits for a person, the values of both sides, and the decision.
import {
  C, Choice, Confirm, Count, Empty, Fetched, Filters, Id, Narrow, Pager, Problem, React, Section, Start, Table, Time, Title, To,
  act, dagTo, h, number, pageTo, plural, useApi, useQuery, useRights, useState,
} from "../kit.js";
import { Compare, Inside, RecordId, storyTo, usePractice } from "../record.js";

const DAG = "ecw_push_patients";
const may = (rights) => rights.act.includes(rights.dag(DAG));
const WINNERS = [["crm", "Keep the CRM's"], ["emr", "Take eCW's"]];
const THEN = { crm: "the next push sends it", emr: "the next pull loads it" };

/** A button that acts at once, shows its error, and reloads the page's data. */
const Choose = ({ label, path, body, done, ...rest }) => {
  const rights = useRights(body.practice);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState();
  const go = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await act(path, body);
      done();
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return h(C.Box, { display: "inline-block" },
    h(C.Button, { size: "xs", variant: "outline", loading: busy, disabled: !may(rights), title: may(rights) ? undefined : `You may not trigger ${rights.dag(DAG)}.`, onClick: go, ...rest }, label),
    error ? h(Problem, { error }) : null);
};

// ---- Conflicts ----------------------------------------------------------------------------------------------------

const field = (row) => ({ resource: row.resource, crm_id: row.crm_id, column: row.column });

const Chosen = ({ row }) => row.choice
  ? h(C.Badge, { colorPalette: "blue" }, row.choice === "crm" ? "the CRM's; next push" : "eCW's; next pull") : h(C.Badge, { colorPalette: "orange" }, "waits");

const OneConflict = ({ practice, dag, row, done }) => h(Inside, null,
  h(Compare, { practice, resource: row.resource, crmId: row.crm_id, ecwIds: [row.ecw_id], first: [row.column] }),
  h(C.HStack, { wrap: "wrap" },
    ...WINNERS.map(([winner, label]) => h(Choose, { key: winner, label, variant: row.choice === winner ? "solid" : "outline", path: "conflicts/choose", body: { practice, winner, fields: [field(row)] }, done })),
    h(C.Text, { fontSize: "xs", color: "fg.muted" }, row.choice ? `Chosen: ${row.choice === "crm" ? "the CRM's value" : "eCW's value"}; ${THEN[row.choice]}.` : "The choice is for these values: if one of them changes again, the conflict opens again.")),
  row.choice === "crm" && row.resource === "patient"
    ? h(Start, { dag: dag(DAG), conf: { patients: [`crm:${row.crm_id}`] }, label: "Push this patient now", explain: "Sends the chosen value and all other changes of this patient." }) : null);

const Several = ({ practice, rows, done }) => {
  const rights = useRights(practice);
  return h(C.HStack, { wrap: "wrap" }, ...WINNERS.map(([winner, label]) => h(Confirm, {
    key: winner, title: `${label} value in ${plural(rows.length, "field")}`, yes: label,
    button: h(C.Button, { size: "sm", variant: "outline", disabled: !rows.length || !may(rights) }, `${label} (${number(rows.length)})`),
    onYes: async () => { await act("conflicts/choose", { practice, winner, fields: rows.map(field) }); done(); },
  }, h(C.Text, null, `The fields: ${[...new Set(rows.map((row) => row.column))].join(", ")}. ${winner === "crm" ? "The next push sends the CRM's values to eCW." : "The next pull loads eCW's values into the CRM."} The Integration Logs record your name.`))));
};

const Conflicts = ({ practice, dag }) => {
  const [query, change] = useQuery();
  const { resource, column, cursor } = query;
  const page = useApi("conflicts", { practice, resource, column, cursor });
  const [chosen, setChosen] = useState(new Set());
  React.useEffect(() => setChosen(new Set()), [practice, resource, column, cursor]);
  const keyOf = (row) => [row.resource, row.crm_id, row.column].join(" ");
  return h(Fetched, { of: page }, ({ groups, conflicts: rows, next }) => {
    const done = () => { setChosen(new Set()); page.reload(); };
    const flip = (row) => setChosen((before) => { const after = new Set(before); const key = keyOf(row); if (!after.delete(key)) after.add(key); return after; });
    const everything = rows.length > 0 && rows.every((row) => chosen.has(keyOf(row)));
    const select = {
      all: h("input", { type: "checkbox", "aria-label": "Choose all conflicts of this page", checked: everything, onChange: () => setChosen(everything ? new Set() : new Set(rows.map(keyOf))) }),
      cell: (row) => h("input", { type: "checkbox", "aria-label": `Choose ${row.column} of ${row.crm_id}`, checked: chosen.has(keyOf(row)), onChange: () => flip(row) }),
    };
    const columns = [
      { title: "Field", cell: (row) => h(C.Box, null, h(C.Text, { fontWeight: "semibold" }, row.column), h(Narrow, null, h(Chosen, { row }))) },
      { title: "Record", cell: (row) => h(RecordId, { practice, record: row }) },
      { title: "Resource", cell: (row) => row.resource, hide: "base" },
      { title: "Since", cell: (row) => h(Time, { at: row.since, ago: true }), hide: "base" },
      { title: "Choice", cell: (row) => h(Chosen, { row }), hide: "base" },
    ];
    if (!groups.length) return h(Section, { title: "Conflicts" }, h(Empty, { title: "No field waits for a choice." }, "A field waits here if the CRM and eCW both change it and the mapping does not choose a winner."));
    return h(Section, { title: "Conflicts", actions: h(Several, { practice, rows: rows.filter((row) => chosen.has(keyOf(row))), done }) },
      h(C.Flex, { wrap: "wrap", gap: 2, mb: 3 },
        ...groups.map((one) => h(C.Button, { key: `${one.resource} ${one.column}`, size: "xs", variant: one.column === column && one.resource === resource ? "solid" : "outline", "aria-pressed": one.column === column && one.resource === resource,
          onClick: () => change(one.column === column && one.resource === resource ? { column: undefined, resource: undefined } : { column: one.column, resource: one.resource }) },
          `${one.column}: ${number(one.waiting)}${one.chosen ? ` and ${number(one.chosen)} chosen` : ""}`))),
      h(Table, { caption: "Conflicts", columns, rows, keyOf, select, detail: (row) => h(OneConflict, { practice, dag, row, done }) }), h(Pager, { next }));
  });
};

// ---- Held matches -------------------------------------------------------------------------------------------------

const OneMatch = ({ practice, dag, row, done }) => {
  const body = (choice) => ({ practice, crm_id: row.crm_id, choice });
  const to = (choice, label, extra) => h(Choose, { key: choice, label, path: "matches/choose", body: body(choice), done, variant: row.choice === choice ? "solid" : "outline", ...extra });
  return h(Inside, null,
    h(C.Text, { fontSize: "sm" }, row.linked
      ? "The CRM's row and the patient of eCW are linked, but they may be different persons now."
      : `eCW has ${plural(row.candidates.length, "patient")} who may be this one, found by ${row.found_by}.`),
    h(Compare, { practice, resource: "patient", crmId: row.crm_id, ecwIds: row.candidates.slice(0, 10) }),
    h(C.HStack, { wrap: "wrap" },
      ...(row.linked
        ? [to("same", "The same person"), h(Confirm, { key: "unlink", title: "Unlink", yes: "Unlink", danger: true,
            button: h(C.Button, { size: "xs", variant: "outline" }, "Two persons: unlink…"),
            onYes: async () => { await act("matches/choose", body("unlink")); done(); } },
            h(C.Text, null, "Removes the link, and the numbers that eCW assigned, from the CRM's row. The next push searches eCW for the person of the row, and creates a patient if eCW has none; the next pull inserts a row for the patient of eCW."))]
        : [...row.candidates.map((id) => to(id, `Link to ${id}`)), to("new", "Create a new patient"), row.choice ? to("leave", "Take the choice back") : null])),
    row.choice
      ? h(Start, { dag: dag(DAG), conf: { patients: [`crm:${row.crm_id}`] }, label: "Push this patient now", explain: "Applies the choice: links the patient, or creates it." }) : null);
};

const Candidates = ({ row }) => h(C.HStack, { wrap: "wrap", gap: 2 }, ...row.candidates.slice(0, 3).map((id) => h(Id, { key: id, value: id })),
  row.candidates.length > 3 ? `and ${row.candidates.length - 3} more` : null, row.candidates.length ? null : "nobody");
const Decided = ({ row }) => row.choice
  ? h(C.Badge, { colorPalette: "blue" }, `${row.choice === "new" ? "a new patient" : row.choice}; next push`) : h(C.Badge, { colorPalette: "orange" }, "waits");

const Matches = ({ practice, dag }) => {
  const [{ cursor }] = useQuery();
  const page = useApi("matches", { practice, cursor });
  const columns = [
    { title: "Patient in the CRM", cell: (row) => h(C.Box, null, h(Id, { value: row.crm_id, to: storyTo(practice, { resource: "patient", crm_id: row.crm_id }) }),
      h(Narrow, null, "may be ", h(Candidates, { row }), h(Decided, { row }))) },
    { title: "May be, in eCW", cell: (row) => h(Candidates, { row }), hide: "base" },
    { title: "Found by", cell: (row) => row.found_by, hide: "base" },
    { title: "Since", cell: (row) => h(Time, { at: row.since, ago: true }), hide: "base" },
    { title: "Choice", cell: (row) => h(Decided, { row }), hide: "base" },
  ];
  return h(Fetched, { of: page }, ({ matches: rows, next }) => h(Section, { title: "Held matches" }, rows.length
    ? h(React.Fragment, null, h(Table, { caption: "Held matches", columns, rows, keyOf: (row) => row.crm_id, detail: (row) => h(OneMatch, { practice, dag, row, done: page.reload }) }), h(Pager, { next }))
    : h(Empty, { title: "No match is held." }, "A patient that eCW may have already waits here, and is not pushed until a person decides who it is.")));
};

export default function ConflictsAndMatches() {
  const [query, change] = useQuery();
  const { practice, dag, picker, error, loading, none } = usePractice();
  const show = query.show ?? "all";
  if (error || loading) return h(Fetched, { of: { error, loading } }, () => null);
  if (none) return h(C.Box, null, h(Title, null, "Conflicts and matches"), h(Filters, null, picker), h(Section, null, h(Empty, { title: "Nothing has been pulled yet." }, "Unpause ", h(To, { to: dagTo(dag("ecw_pull")) }, dag("ecw_pull")), " first.")));
  return h(C.Box, null,
    h(Title, { subtitle: "What the rules leave to a person. The Integration Logs record each choice and the person who made it." }, "Conflicts and matches"),
    h(Filters, null, picker,
      h(Choice, { label: "Show", value: show, any: null, options: [["all", "both"], ["matches", "held matches"], ["conflicts", "conflicts"]], onChange: (value) => change({ show: value === "all" ? undefined : value }) })),
    show === "conflicts" ? null : h(Matches, { practice, dag }),
    show === "matches" ? null : h(Conflicts, { practice, dag }));
}
