// Overview: the age of each resource of a practice, what needs attention first, and charts of the last days.
import { C, Choice, Count, Empty, Fetched, Field, Narrow, Router, Section, Start, State, Table, Time, Title, To, clockTime, dagTo, h, number, pageTo, runTo, span, useApi, useQuery, useRights, useState } from "../kit.js";
import { Bars, COLOURS, Shares } from "../charts.js";

const dagOf = (run, dag) => dag(run.mode === "replay" ? "ecw_replay" : "ecw_pull");
const changed = (run) => (run ? (run.inserted ?? 0) + (run.updated ?? 0) : null);

// title, name in the data, description of the count, and the page with its parameters
const WAITS = [
  ["Rejects", "open_rejects", "open rejects of", (row) => ["rejects", { resource: row.resource }]],
  ["Unmapped", "unmapped", "records with an unmapped code of", (row) => ["mappings", { resource: row.resource }]],
  ["Conflicts", "conflicts", "conflicts of", (row) => ["conflicts", { resource: row.resource }]],
  ["Held", "held", "held matches of", () => ["conflicts", { show: "matches" }]],
  ["Unknown", "unknown", "pushes without a known outcome of", () => ["logs", { direction: "push", outcome: "unknown" }]],
  ["Decided", "decided", "decided records that the next push sends of", () => ["conflicts", {}]],
];
const Waits = ({ practice, row, of: [, name, counted, page] }) => {
  const [address, params] = page(row);
  return h(Count, { value: row[name], label: `${counted} ${row.resource}`, tone: "warning", to: pageTo(address, { practice, ...params }) });
};

const columns = (practice, dag) => [
  { title: "Resource", cell: (row) => h(C.Box, null, h(C.Text, { fontWeight: "semibold" }, row.resource),
    h(Narrow, null, ...WAITS.filter(([, name]) => row[name]).map((of) => h(C.Box, { key: of[0] }, `${of[0]}: `, h(Waits, { practice, row, of }))))) },
  { title: "Last good sync", cell: (row) => h(C.HStack, { gap: 2 }, h(Time, { at: row.last_good_at, ago: true }), row.late ? h(State, { value: "late" }) : null) },
  { title: "Last run", hide: "base", cell: (row) => row.last_run
    ? h(C.HStack, { gap: 2 }, h(State, { value: row.last_run.state }), h(To, { to: runTo(dagOf(row.last_run, dag), row.last_run.run_id), title: row.last_run.run_id }, h(Time, { at: row.last_run.started_at })))
    : h(C.Text, { color: "fg.muted" }, "never") },
  { title: "Fetched", align: "end", hide: "base", cell: (row) => number(row.last_run?.fetched) },
  { title: "Changed", align: "end", hide: "base", cell: (row) => h(Count, { value: changed(row.last_run), label: `changed records of ${row.resource}`, to: pageTo("logs", { practice, run: row.last_run?.run_id, resource: row.resource }) }) },
  ...WAITS.map((of) => ({ title: of[0], align: "end", hide: "base", cell: (row) => h(Waits, { practice, row, of }) })),
];

const Button = ({ item }) => {
  const look = { size: "xs", variant: "outline" };
  if (item.conf !== null) return h(Start, { dag: item.dag_id, conf: item.conf, label: item.button, explain: item.next_step, size: "xs" });
  const to = item.page ? pageTo(item.page, item.params) : item.run_id ? runTo(item.dag_id, item.run_id) : item.airflow;
  return h(C.Button, { asChild: true, ...look }, h(Router.Link, { to }, item.button));
};

const Attention = ({ items }) =>
  h(Section, { title: "What needs attention first" },
    items.length
      ? h(C.Stack, { as: "ol", gap: 0, listStyleType: "none" }, ...items.map((item, place) =>
          h(C.Flex, { as: "li", key: place, gap: 3, py: 2, align: "flex-start", justify: "space-between", wrap: { base: "wrap", md: "nowrap" }, borderTopWidth: place ? "1px" : 0, borderColor: "border" },
            h(C.HStack, { align: "flex-start", gap: 3, minW: 0 },
              h(C.Box, { mt: 1.5, width: "9px", height: "9px", borderRadius: "full", flexShrink: 0, bg: item.severity === "error" ? "red.solid" : "orange.solid", role: "img", "aria-label": item.severity }),
              h(C.Box, { minW: 0 }, h(C.Text, { fontWeight: "semibold", overflowWrap: "anywhere" }, item.message), h(C.Text, { fontSize: "sm", color: "fg.muted" }, `Next: ${item.next_step}`))),
            h(C.Box, { flexShrink: 0 }, h(Button, { item })))))
      : h(C.Text, { color: "fg.muted" }, "Nothing. All resources are up to date, and nothing waits for a person."));

// ---- Charts

const day = (at) => clockTime(at, { day: "numeric", month: "short" });
const lastDays = (now) => Array.from({ length: 14 }, (_, back) => day(new Date(new Date(now) - (13 - back) * 86400000)));
const byDay = (now, points, add) => {
  const days = new Map(lastDays(now).map((label) => [label, add.map(() => 0)]));
  for (const point of points) {
    const values = days.get(day(point.at));
    if (values) add.forEach((of, place) => { values[place] += of(point); });
  }
  return days;
};
const total = (points, of) => points.reduce((sum, point) => sum + of(point), 0);

const RecordsChart = ({ data }) => {
  const days = byDay(data.at, data.runs, [(run) => run.changed, (run) => run.rejected]);
  const summary = `Records of pulls in 14 days: ${number(total(data.runs, (run) => run.changed))} changed, ${number(total(data.runs, (run) => run.rejected))} rejected.`;
  return h(Section, { title: "Records pulled, 14 days" },
    h(Bars, { summary, series: [{ name: "changed", colour: COLOURS.changed }, { name: "rejected", colour: COLOURS.rejected }], every: 2,
      bars: [...days].map(([label, values]) => ({ label, values, title: `${label}: ${number(values[0])} changed, ${number(values[1])} rejected` })) }));
};

const CallsChart = ({ quota }) => {
  const kinds = ["on_demand", "scheduled", "backfill"];
  const names = ["on demand", "scheduled", "backfill"];
  const most = Math.max(...quota.minutes.map((minute) => total(kinds, (kind) => minute[kind])));
  return h(Section, { title: "Calls per minute, last hour", actions: h(C.Text, { fontSize: "sm" }, `this minute: ${number(quota.used)} used, ${number(quota.left)} left of ${number(quota.limit)}`) },
    h(Bars, { summary: `Calls per minute in the last hour: at most ${number(most)} of ${number(quota.limit)}.`, limit: quota.limit, limitLabel: "quota", every: 10,
      series: [{ name: names[0], colour: COLOURS.good }, { name: names[1], colour: COLOURS.changed }, { name: names[2], colour: COLOURS.quiet }],
      bars: quota.minutes.map((minute) => ({ label: clockTime(minute.at, { timeStyle: "short" }), values: kinds.map((kind) => minute[kind]),
        title: `${clockTime(minute.at, { timeStyle: "short" })}: ${kinds.map((kind, place) => `${number(minute[kind])} ${names[place]}`).join(", ")}${minute.refused ? `, ${minute.refused} refused` : ""}` })) }));
};

const GOOD = ["created", "updated", "linked", "unchanged"];
const BAD = ["refused", "failed", "rejected", "stopped"];
const PushChart = ({ data, practice, dag }) => {
  const counts = new Map();
  for (const point of data.pushes) {
    const name = point.status ?? "not begun";
    counts.set(name, (counts.get(name) ?? 0) + point.patients);
  }
  const rows = [...counts].sort((one, other) => other[1] - one[1]).map(([label, value]) => ({ label, value, colour: GOOD.includes(label) ? COLOURS.good : BAD.includes(label) ? COLOURS.bad : COLOURS.warn }));
  return h(Section, { title: "Push outcomes, 14 days", actions: h(To, { to: pageTo("logs", { practice, direction: "push" }), fontSize: "sm" }, "Integration Logs") },
    rows.length ? h(Shares, { rows, summary: `Patients pushed in 14 days: ${rows.map((row) => `${number(row.value)} ${row.label}`).join(", ")}.` })
      : h(Empty, { title: "Nothing was pushed." }, "Unpause ", h(To, { to: dagTo(dag("ecw_push_patients")) }, dag("ecw_push_patients")), ": a patient that changes in the CRM is then pushed within a minute."));
};

const AGE = { "6 hours": COLOURS.good, "1 day": COLOURS.good, "3 days": COLOURS.changed, "1 week": COLOURS.warn, older: COLOURS.bad, "never asked": COLOURS.quiet };
const InsuranceChart = ({ ages }) =>
  h(Section, { title: "Insurance: last asked about" },
    ages.length ? h(Shares, { summary: "How long ago eCW was asked about each patient's insurance.", rows: ages.map((age) => ({ label: AGE[age.label] && !["older", "never asked"].includes(age.label) ? `within ${age.label}` : age.label, value: age.patients, colour: AGE[age.label] })) })
      : h(Empty, { title: "Not asked patient by patient." }, "A server that lists insurance by change has no age per patient."));

// ---- Buttons

const PullSchedule = ({ dag }) => {
  const [ids, setIds] = useState("");
  const practitioners = ids.split(/[\s,;]+/).filter(Boolean);
  return h(Start, { dag: dag("ecw_pull"), label: "Pull a schedule", conf: { mode: "schedule", practitioners }, ready: practitioners.length > 0,
    explain: "Pulls the appointments of practitioners, and patients who are not in the CRM yet." },
    h(Field, { label: "Practitioners' eCW ids, separated by blanks", value: ids, onChange: setIds, width: "100%", maxLength: 2000, live: true }));
};

export default function Overview() {
  const [query, change] = useQuery();
  const found = useApi("overview", { practice: query.practice });
  const { dag } = useRights(found.data?.name);
  return h(Fetched, { of: found }, (data) => {
    const practice = data.name;
    const picker = data.practices.length > 1
      ? h(Choice, { key: "practice", label: "Practice", value: practice, options: data.practices, any: null, width: "160px", onChange: (name) => change({ practice: name }) }) : null;
    if (!data.practice) {
      return h(C.Box, null, picker ? h(Title, { actions: [picker] }, `Overview of ${practice}`) : null,
        h(Section, null, h(Empty, { title: "Nothing has been pulled yet.", action: h(Start, { dag: dag("ecw_pull"), conf: {}, label: "Pull now", explain: "Pulls everything for the first time." }) },
          "Connect the practice (", h(To, { to: "/connections" }, "Admin > Connections"), "), unpause ", h(To, { to: dagTo(dag("ecw_pull")) }, dag("ecw_pull")), `, and pull. It then runs every ${span(data.interval_seconds)}.`)));
    }
    return h(C.Box, null,
      h(Title, { subtitle: `Pulled every ${span(data.interval_seconds)}: ${data.scheduled.join(", ")}.`, actions: [
        picker,
        h(Start, { key: "pull", dag: dag("ecw_pull"), conf: {}, label: "Pull now", variant: "solid", explain: "Pulls what changed since the last good run, of every resource that the schedule pulls." }),
        h(PullSchedule, { key: "schedule", dag }),
        h(Start, { key: "push", dag: dag("ecw_push_patients"), conf: {}, label: "Push now", explain: "Pushes the patients whose demographics changed in the CRM." }),
      ] }, `Overview of ${practice}`),
      h(Attention, { items: data.attention }),
      h(Section, { title: "Resources" }, h(Table, { caption: `Resources of ${practice}`, columns: columns(practice, dag), rows: data.practice.resources, keyOf: (row) => row.resource })),
      h(C.SimpleGrid, { columns: { base: 1, lg: 2 }, gap: 4 },
        h(RecordsChart, { data }), h(CallsChart, { quota: data.quota }), h(PushChart, { data, practice, dag }), h(InsuranceChart, { ages: data.insurance })));
  });
}
