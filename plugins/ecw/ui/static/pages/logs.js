// Integration Logs: the changes of each record, by run or by entry; filters, entries in full, CSV.
import { C, Choice, Empty, Fetched, Field, Filters, Id, Narrow, Pager, RunId, Section, Start, State, Table, Time, Title, To, apiHref, dagTo, h, number, pageTo, plural, runTo, useApi, useMemo, useQuery, useRights } from "../kit.js";

const FILTERS = ["practice", "direction", "resource", "outcome", "code", "run", "record", "start", "end"];
const SPANS = [["3600", "last hour"], ["86400", "last 24 hours"], ["604800", "last 7 days"], ["1209600", "last 14 days"], ["2592000", "last 30 days"]];
const DAGS = { push: "ecw_push_patients", pull: "ecw_pull" };
const WORDS = { insert: "created in the CRM", update: "updated", create: "created", link: "linked", hold: "held", reject: "refused", settle: "settled", learn: "spelled by eCW" };

const dagOf = (direction, mode) => (mode === "replay" ? "ecw_replay" : DAGS[direction]);
/** The page of a run in Airflow; undefined for a run of the terminal and for decisions without a run. */
const airflowRun = (dag, runId, direction, mode) => {
  const of = dagOf(direction, mode);
  return runId && of && !runId.startsWith("terminal__") ? runTo(dag(of), runId) : undefined;
};
const taskLog = (dag, entry) => {
  const run = airflowRun(dag, entry.run_id, entry.direction);
  return run && `${run}/tasks/${entry.direction === "push" ? "send" : `${entry.resource}.load`}`;
};
const asked = (query) => Object.fromEntries(FILTERS.map((name) => [name, query[name]]));

const Detail = ({ entry, practice }) => {
  const line = (name, ...value) => h(C.Flex, { key: name, gap: 3, wrap: "wrap" }, h(C.Text, { minW: "110px", color: "fg.muted", fontSize: "sm" }, name), h(C.Box, { flex: "1", minW: "200px", fontSize: "sm" }, ...value));
  const { dag } = useRights(practice);
  const log = taskLog(dag, entry);
  return h(C.Stack, { gap: 2, py: 2 },
    line("Request", `${entry.direction} · ${entry.operation} of a ${entry.resource}`, entry.fields.length ? `: ${entry.fields.join(", ")}` : ""),
    line("Answer", entry.answer ?? (entry.direction === "push" ? "none" : "–"), entry.code ? ` · eCW's code ${entry.code}` : "", entry.seconds !== null ? ` · after ${entry.seconds} s` : ""),
    line("Message", entry.message),
    entry.next_step ? line("Next step", h(C.Text, { fontWeight: "semibold" }, entry.next_step)) : null,
    entry.decided_by ? line("Decided by", `${entry.decided_by}: ${entry.before ?? "nothing"} → ${entry.after ?? "nothing"}`) : null,
    line("Record", "CRM ", h(Id, { value: entry.crm_id }), " eCW ", h(Id, { value: entry.ecw_id })),
    line("Run", h(Id, { value: entry.run_id, length: 60 })),
    h(C.HStack, { gap: 4, wrap: "wrap", fontSize: "sm" },
      entry.crm_id || entry.ecw_id ? h(To, { to: pageTo("story", { practice, resource: entry.resource, id: entry.ecw_id ?? entry.crm_id }) }, "The record's story") : null,
      entry.crm_id || entry.ecw_id ? h(To, { to: pageTo("logs", { practice, record: entry.ecw_id ?? entry.crm_id }) }, "All entries of the record") : null,
      log ? h(To, { to: log }, "The task's log") : null,
      DAGS[entry.direction] ? h(To, { to: dagTo(dag(DAGS[entry.direction])) }, "The DAG") : null));
};

const Entries = ({ params, practice, nested }) => {
  const found = useApi("logs", { ...params, limit: nested ? 25 : 50 });
  const columns = [
    { title: "Time", cell: (row) => h(C.Box, null, h(Time, { at: row.at }), h(Narrow, null, row.message)) },
    { title: "Direction", hide: "base", cell: (row) => row.direction },
    { title: "Resource", hide: "base", cell: (row) => row.resource },
    { title: "What", hide: "base", cell: (row) => WORDS[row.operation] ?? row.operation },
    { title: "Outcome", cell: (row) => h(State, { value: row.outcome }) },
    { title: "Message", hide: "base", cell: (row) => h(C.Box, { maxW: "420px", overflowWrap: "anywhere" }, row.message) },
    { title: "CRM id", hide: "base", cell: (row) => h(Id, { value: row.crm_id }) },
    { title: "eCW id", hide: "base", cell: (row) => h(Id, { value: row.ecw_id }) },
  ];
  return h(Fetched, { of: found, lines: nested ? 3 : 10 }, (data) =>
    h(C.Box, null,
      h(Table, { caption: nested ? "Entries of the run" : "Entries", columns, rows: data.entries, keyOf: (row) => row.entry, detail: (entry) => h(Detail, { entry, practice }),
        empty: h(Empty, { title: "No entry matches the filters." }, "Remove a filter, or choose a longer time.") }),
      nested
        ? data.next ? h(To, { to: pageTo("logs", { ...params, practice }), fontSize: "sm" }, "All entries of this run") : null
        : h(Pager, { next: data.next })));
};

const summary = (line) => {
  const groups = line.parts.slice(0, 5).map((part) => `${part.resource}: ${number(part.entries)}${line.more ? "+" : ""} ${WORDS[part.operation] ?? part.operation}${part.outcome === "done" ? "" : ` (${part.outcome})`}`);
  return groups.join(" · ") + (line.parts.length > 5 ? ` · and ${plural(line.parts.length - 5, "other kind")}` : "");
};
const worst = (line) => line.parts.find((part) => part.outcome !== "done")?.outcome ?? "done";

const Runs = ({ params, practice }) => {
  const { dag } = useRights(practice);
  const found = useApi("logs/runs", params);
  const columns = [
    { title: "Newest entry", cell: (row) => h(C.Box, null, h(Time, { at: row.at }), h(Narrow, null, summary(row))) },
    { title: "Direction", hide: "base", cell: (row) => (row.mode === "replay" ? "replay" : row.parts[0]?.direction) },
    { title: "Run", hide: "base", cell: (row) => row.run_id
      ? h(RunId, { value: row.run_id, to: airflowRun(dag, row.run_id, row.parts[0]?.direction, row.mode) })
      : h(C.Text, { color: "fg.muted" }, "between runs") },
    { title: "Entries", align: "end", cell: (row) => h(To, { to: pageTo("logs", { ...params, practice, run: row.run_id || "-" }), "aria-label": `${number(row.entries)} entries` }, `${number(row.entries)}${row.more ? "+" : ""}`) },
    { title: "Outcome", hide: "base", cell: (row) => h(State, { value: worst(row) }) },
    { title: "What it did", hide: "base", cell: (row) => h(C.Box, { minW: "120px" }, summary(row),
        row.more && row.inserted !== null ? h(C.Text, { fontSize: "xs", color: "fg.muted" }, `the run: ${number(row.inserted)} inserted, ${number(row.updated)} updated, ${number(row.rejected)} rejected`) : null) },
  ];
  const none = FILTERS.slice(1).every((name) => !params[name]);
  return h(Fetched, { of: found, lines: 10 }, (data) =>
    h(C.Box, null,
      h(Table, { caption: "Runs", columns, rows: data.runs, keyOf: (row) => row.run_id, detail: (row) => h(Entries, { nested: true, practice, params: { ...params, cursor: undefined, run: row.run_id || "-" } }),
        empty: none
          ? h(Empty, { title: "Nothing has been pulled or pushed yet.", action: h(Start, { dag: dag("ecw_pull"), conf: {}, label: "Pull now", explain: "Pulls what changed since the last good run." }) }, "This page lists each record that a run changes, and each attempt to push.")
          : h(Empty, { title: "No entry matches the filters." }, "Remove a filter, or choose a longer time.") }),
      h(Pager, { next: data.next })));
};

export default function Logs() {
  const [query, change] = useQuery();
  const choices = useApi("logs/choices", { practice: query.practice });
  const practice = query.practice ?? choices.data?.practice ?? "";
  const since = useMemo(() => (query.span ? new Date(Date.now() - Number(query.span) * 1000).toISOString() : undefined), [query.span, query.cursor]);
  const params = { ...asked(query), practice, start: query.start ?? since, cursor: query.cursor };
  const flat = Boolean(query.record || query.run || query.by === "entry");
  const set = (name) => (value) => change({ [name]: value });
  const narrowed = FILTERS.slice(1).some((name) => query[name]) || query.span;
  return h(C.Box, null,
    h(Title, { subtitle: "Every push and every change that was pulled: ids, codes and names of fields, no values.",
      actions: h(C.Button, { asChild: true, size: "sm", variant: "outline" }, h("a", { href: apiHref("logs/csv", { ...params, cursor: undefined }), download: "integration-logs.csv" }, "CSV of these")) }, "Integration Logs"),
    h(Fetched, { of: choices, lines: 2 }, (data) =>
      h(Filters, null,
        data.practices.length > 1 ? h(Choice, { label: "Practice", width: "120px", value: practice, options: data.practices, any: null, onChange: set("practice") }) : null,
        h(Choice, { label: "Direction", value: query.direction, options: data.directions, onChange: set("direction") }),
        h(Choice, { label: "Resource", value: query.resource, options: data.resources, onChange: set("resource") }),
        h(Choice, { label: "Outcome", value: query.outcome, options: data.outcomes, onChange: set("outcome") }),
        h(Choice, { label: "eCW's code", value: query.code, options: data.codes, onChange: set("code") }),
        h(Choice, { label: "Time", value: query.span, options: SPANS, any: "any time", onChange: set("span") }),
        h(Field, { label: "Record's id", value: query.record, onChange: set("record") }),
        h(Choice, { label: "Show", value: flat ? "entry" : "run", options: [["run", "runs"], ["entry", "entries"]], any: null,
          onChange: (value) => change(value === "run" ? { by: "", run: "", record: "" } : { by: "entry" }) }),
        narrowed ? h(C.Button, { size: "sm", variant: "ghost", onClick: () => change({ ...Object.fromEntries(FILTERS.slice(1).map((name) => [name, ""])), span: "", by: "" }) }, "Clear") : null)),
    query.run ? h(C.Text, { fontSize: "sm", mb: 3 }, query.run === "-" ? "Decisions between runs " : "Of the run ", query.run === "-" ? null : h(Id, { value: query.run, length: 70 }), " ", h(C.Button, { size: "2xs", variant: "outline", onClick: () => change({ run: "" }) }, "all runs")) : null,
    h(Section, null, flat ? h(Entries, { params, practice }) : h(Runs, { params, practice })));
}
