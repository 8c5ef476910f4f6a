// Overview: how fresh each practice and resource is, and what waits for a person.
import { C, Count, Empty, Fetched, Section, Start, State, Table, Time, Title, To, Choice, dagTo, h, number, pageTo, runTo, span, useApi, useQuery } from "../kit.js";

const changed = (run) => (run ? (run.inserted ?? 0) + (run.updated ?? 0) : null);

const columns = (practice) => [
  { title: "Resource", cell: (row) => h(C.Text, { fontWeight: "semibold" }, row.resource) },
  { title: "Last good sync", cell: (row) => h(C.HStack, { gap: 2 }, h(Time, { at: row.last_good_at, ago: true }), row.late ? h(State, { value: "late" }) : null) },
  { title: "Last run", cell: (row) => row.last_run
    ? h(C.HStack, { gap: 2 }, h(State, { value: row.last_run.state }), h(To, { to: runTo(row.last_run.run_type === "replay" ? "ecw_replay" : "ecw_pull", row.last_run.run_id), title: row.last_run.run_id }, h(Time, { at: row.last_run.started_at })))
    : h(C.Text, { color: "fg.muted" }, "never") },
  { title: "Fetched", align: "end", cell: (row) => number(row.last_run?.fetched) },
  { title: "Changed", align: "end", cell: (row) => h(Count, { value: changed(row.last_run), label: "changed records", to: pageTo("logs", { practice, run: row.last_run?.run_id, resource: row.resource }) }) },
  { title: "Rejects", align: "end", cell: (row) => h(Count, { value: row.open_rejects, label: `open rejects of ${row.resource}`, tone: "warning", to: pageTo("rejects", { practice, resource: row.resource }) }) },
  { title: "Unmapped", align: "end", cell: (row) => h(Count, { value: row.unmapped, label: "records with an unmapped code", tone: "warning", to: pageTo("mappings", { practice, resource: row.resource }) }) },
  { title: "Conflicts", align: "end", cell: (row) => h(Count, { value: row.conflicts, label: "conflicts", tone: "warning", to: pageTo("conflicts", { practice, resource: row.resource }) }) },
  { title: "Held", align: "end", cell: (row) => h(Count, { value: row.held, label: "held matches", tone: "warning", to: pageTo("conflicts", { practice }) }) },
];

export default function Overview() {
  const [query, change] = useQuery();
  const status = useApi("status");
  return h(Fetched, { of: status }, (data) => {
    const names = data.practices.map((one) => one.practice);
    const practice = data.practices.find((one) => one.practice === query.practice) ?? data.practices[0];
    return h(C.Box, null,
      h(Title, { actions: [
        h(Start, { key: "pull", dag: "ecw_pull", conf: {}, label: "Pull now", variant: "solid", explain: "Pulls what changed since the last good run." }),
        h(Start, { key: "push", dag: "ecw_push_patients", conf: {}, label: "Push now", explain: "Pushes the patients whose demographics changed in the CRM." }),
      ] }, "Overview"),
      names.length > 1 ? h(Choice, { label: "Practice", value: practice.practice, options: names, any: null, onChange: (name) => change({ practice: name }) }) : null,
      practice
        ? h(Section, { title: `Practice ${practice.practice}` }, h(Table, { caption: `Resources of ${practice.practice}`, columns: columns(practice.practice), rows: practice.resources, keyOf: (row) => row.resource }))
        : h(Empty, { title: "Nothing has been pulled yet.", action: h(Start, { dag: "ecw_pull", conf: {}, label: "Pull now", explain: "Pulls everything for the first time." }) },
            "Connect the practice (Admin > Connections, ecw_default), unpause ", h(To, { to: dagTo("ecw_pull") }, "ecw_pull"), " and pull. It then runs ", `every ${span(data.interval_seconds)}.`));
  });
}
