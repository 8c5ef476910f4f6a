// Quality: the results of each expectation in the last checks, the worst first; each check links to its run's report.
import {
  C, Choice, Count, Empty, Fetched, Filters, Section, State, Table, Time, Title, To,
  clockTime, dagTo, h, number, pageTo, runTo, useApi, useQuery,
} from "../kit.js";
import { RESOURCES, usePractice } from "../record.js";

const COLORS = { pass: "green.solid", warn: "yellow.solid", reject: "orange.solid", stop: "red.solid" };
const share = (one) => (one.rows ? one.failed / one.rows : 0);
const percent = (value) => (value === 0 ? "0 %" : value < 0.001 ? "< 0.1 %" : `${(100 * value).toFixed(value < 0.1 ? 1 : 0)} %`);

/** A bar for each check: its height is the failed share, its colour the verdict; the title has both as text. */
const History = ({ row }) => {
  const most = Math.max(...row.checks.map(share), 0.01);
  const failed = row.checks.filter((one) => one.verdict !== "pass").length;
  return h(C.Flex, { align: "flex-end", gap: "2px", height: "28px", role: "img", "aria-label": `failed in ${failed} of the last ${row.checks.length} checks` },
    ...row.checks.map((one) => h(C.Box, { key: one.run_id, width: "6px", borderRadius: "1px", bg: COLORS[one.verdict] ?? "gray.solid", height: `${Math.max(3, 28 * share(one) / most)}px`,
      title: `${clockTime(one.at)}: ${one.verdict}, ${number(one.failed)} of ${number(one.rows)}` })));
};

const Checks = ({ practice, dag, row }) => {
  const columns = [
    { title: "Check", cell: (one) => h(To, { to: `${runTo(dag("ecw_pull"), one.run_id)}/plugin/ecw-quality-run`, title: one.run_id }, h(Time, { at: one.at })) },
    { title: "Verdict", cell: (one) => h(State, { value: one.verdict }) },
    { title: "Checked", align: "end", cell: (one) => number(one.rows) },
    { title: row.rule === "volume" ? "Fewer than usual" : "Failed", align: "end", cell: (one) => h(Count, { value: one.failed, label: "records that failed", to: row.rule === "volume" ? undefined : pageTo("rejects", { practice, resource: row.resource, run: one.run_id }) }) },
    { title: "New", align: "end", cell: (one) => number(one.new) },
  ];
  return h(Table, { caption: `Checks of ${row.rule} ${row.column}`, columns, rows: [...row.checks].reverse().slice(0, 10), keyOf: (one) => one.run_id });
};

export default function Quality() {
  const [query, change] = useQuery();
  const { practice, dag, picker, error, loading, none } = usePractice();
  const found = useApi("quality", { practice, resource: query.resource }, { skip: !practice });
  if (error || loading) return h(Fetched, { of: { error, loading } }, () => null);
  const columns = [
    { title: "Verdict", cell: (row) => h(State, { value: row.checks.at(-1).verdict }) },
    { title: "Field", cell: (row) => h(C.Text, { fontFamily: "mono", fontSize: "sm" }, row.column || "the batch") },
    { title: "Resource", cell: (row) => row.resource },
    { title: "Expectation", cell: (row) => row.demand, hide: "base" },
    { title: "Fails now", align: "end", cell: (row) => { const last = row.checks.at(-1); return last.failed ? `${number(last.failed)} (${percent(share(last))})` : "0"; } },
    { title: "Last checks", cell: (row) => h(History, { row }), hide: "base" },
  ];
  const shown = (rows) => (query.show === "all" ? rows : rows.filter((row) => row.checks.some((one) => one.verdict !== "pass")));
  return h(C.Box, null,
    h(Title, { subtitle: "The results of each expectation in the last 30 checks of its resource, the worst first." }, "Quality"),
    h(Filters, null, picker,
      h(Choice, { label: "Resource", value: query.resource, options: RESOURCES, onChange: (value) => change({ resource: value }) }),
      h(Choice, { label: "Show", value: query.show, width: "190px", any: "recent failures", options: [["all", "every expectation"]], onChange: (value) => change({ show: value }) })),
    none ? h(Section, null, h(Empty, { title: "Nothing has been checked yet." }, "Unpause ", h(To, { to: dagTo(dag("ecw_pull")) }, dag("ecw_pull")), ": each run checks the records that it fetched."))
      : h(Fetched, { of: found }, ({ expectations }) => {
          const rows = shown(expectations);
          if (!expectations.length) return h(Section, null, h(Empty, { title: "No check has ended yet." }, "The first run of ", h(To, { to: dagTo(dag("ecw_pull")) }, dag("ecw_pull")), " checks each resource."));
          return h(Section, { title: `${number(rows.length)} of ${number(expectations.length)} expectations` }, rows.length
            ? h(Table, { caption: "Expectations", columns, rows, keyOf: (row) => [row.resource, row.rule, row.column, row.demand].join(" "), detail: (row) => h(Checks, { practice, dag, row }) })
            : h(Empty, { title: "Every expectation holds." }, "Show every expectation to see what is checked."));
        }));
}
