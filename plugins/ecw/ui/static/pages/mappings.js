// Mappings: each as a table, the state of its crosswalks, and a trial with one record.
import {
  C, Choice, Count, Empty, Fetched, Field, Filters, Note, Problem, Section, Table, Title, To,
  act, dagTo, h, number, pageTo, plural, useApi, useQuery, useRights, useState,
} from "../kit.js";
import { RESOURCES, usePractice } from "../record.js";

const THEN = { reject: "rejects the record", keep: "is loaded as it is", default: "becomes the default" };
const mono = (text) => h(C.Text, { fontFamily: "mono", fontSize: "xs", whiteSpace: "normal", overflowWrap: "anywhere", maxW: "460px" }, text);
const wrapped = (text) => h(C.Text, { whiteSpace: "normal", minW: "140px" }, text);

const Columns = ({ mapping }) => {
  const columns = [
    { title: "In the CRM", cell: (row) => h(C.Box, null, h(C.Text, { fontWeight: "semibold", title: row.description }, row.label, row.required ? h(C.Badge, { ml: 2 }, "required") : null), mono(row.column)) },
    { title: `In eCW's ${mapping.fhir_type}`, cell: (row) => mono(row.path) },
    { title: "Travels", cell: (row) => h(C.Text, { whiteSpace: "nowrap" }, row.direction), hide: "base" },
    { title: "Conflict", cell: (row) => ({ crm: "the CRM wins", emr: "eCW wins", newest: "the newer wins", hold: "a person chooses" })[row.on_conflict] ?? "", hide: "base" },
    { title: "Crosswalk", cell: (row) => row.crosswalk ? h("a", { href: `#crosswalk-${row.crosswalk}`, style: { textDecoration: "underline" } }, row.crosswalk) : "", hide: "base" },
    { title: "Cleaned", cell: (row) => wrapped(row.cleaned), hide: "base" },
  ];
  return h(Section, { title: `${mapping.fhir_type} → ${mapping.table}` },
    h(C.Text, { fontSize: "sm", color: "fg.muted", mb: 3 }, `${mapping.description} ${mapping.file}, version ${mapping.version.slice(0, 8)}.`),
    h(Table, { caption: "Columns of the mapping", columns, rows: mapping.columns, keyOf: (row) => row.column }));
};

const Excluded = ({ mapping }) => {
  const [open, setOpen] = useState(false);
  return h(Section, { title: `Left out: ${plural(mapping.excluded.length, "element")}`, actions: h(C.Button, { size: "xs", variant: "outline", "aria-expanded": open, onClick: () => setOpen(!open) }, open ? "Hide" : "Show, with the reasons") },
    open ? h(Table, { caption: "Excluded elements", rows: mapping.excluded, keyOf: (row) => row[0], columns: [{ title: "Element", cell: (row) => mono(row[0]) }, { title: "Why", cell: (row) => wrapped(row[1]) }] }) : null);
};

const Crosswalk = ({ practice, resource, one }) => {
  const [open, setOpen] = useState(false);
  const lists = one.missing !== null || one.unused !== null;
  return h(C.Box, { id: `crosswalk-${one.name}`, borderTopWidth: "1px", borderColor: "border", py: 3 },
    h(C.Flex, { justify: "space-between", gap: 3, wrap: "wrap" },
      h(C.Box, { minW: 0, overflowWrap: "anywhere" }, h(C.Text, { fontWeight: "semibold" }, one.name), h(C.Text, { fontSize: "sm", color: "fg.muted" },
        `${plural(one.lines.length, "code")} · an unmapped code ${THEN[one.unmapped] ?? one.unmapped}${one.default ? ` “${one.default}”` : ""} · ${one.columns.join(", ")}`)),
      h(C.HStack, { gap: 5, fontSize: "sm", wrap: "wrap" },
        one.missing === null ? null : h(C.Box, null, h(C.Text, { color: "fg.muted" }, "Codes of eCW without a line"), h(Count, { value: one.missing.length })),
        one.unused === null ? null : h(C.Box, null, h(C.Text, { color: "fg.muted" }, "CRM values without a code"), h(Count, { value: one.unused.length })),
        one.defaulted === null ? null : h(C.Box, null, h(C.Text, { color: "fg.muted" }, `Rows “${one.default}”`), h(Count, { value: one.defaulted })),
        h(C.Box, null, h(C.Text, { color: "fg.muted" }, "Records rejected"), h(Count, { value: one.records_rejected, label: `records rejected for ${one.name}`, to: pageTo("rejects", { practice, resource, rule: "unmapped code" }) })),
        h(C.Button, { size: "xs", variant: "outline", "aria-expanded": open, onClick: () => setOpen(!open) }, open ? "Hide" : "Show"))),
    open ? h(C.Grid, { templateColumns: { base: "1fr", md: lists ? "1fr 1fr" : "1fr" }, gap: 4, mt: 3 },
      h(C.Box, { minW: 0 }, h(C.Text, { fontSize: "sm", fontWeight: "semibold", mb: 1 }, "Its lines"),
        one.lines.length ? h(Table, { caption: `Lines of ${one.name}`, rows: one.lines, keyOf: (row) => row.join(" "), columns: [{ title: "eCW's code", cell: (row) => mono(row[0]) }, { title: "CRM", cell: (row) => row[1] }, { title: "System", cell: (row) => mono(row[2]), hide: "base" }] })
          : h(C.Text, { fontSize: "sm", color: "fg.muted" }, `None yet. “ecw mapping propose ${one.name}” proposes lines from both sides' lists.`)),
      lists ? h(C.Box, { minW: 0 },
        one.missing?.length ? h(C.Box, { mb: 3 }, h(C.Text, { fontSize: "sm", fontWeight: "semibold", mb: 1 }, "In eCW's list, without a line"),
          h(Table, { caption: "Codes that are missing", rows: one.missing, keyOf: (row) => row[0], columns: [{ title: "Code", cell: (row) => mono(row[0].length > 16 ? `${row[0].slice(0, 12)}…${row[0].slice(-3)}` : row[0]) }, { title: "eCW calls it", cell: (row) => wrapped(row[1]) }] })) : null,
        one.unused?.length ? h(C.Box, null, h(C.Text, { fontSize: "sm", fontWeight: "semibold", mb: 1 }, "In the CRM's list, without a code"), h(C.Text, { fontSize: "sm" }, one.unused.join(", "))) : null) : null) : null);
};

const text = (value) => (value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));

const Try = ({ practice, resource }) => {
  const { values, crm } = useRights(practice);
  const [form, setForm] = useState({ id: "", json: "" });
  const [state, setState] = useState({});
  const go = async (body) => {
    setState({ busy: true });
    try {
      setState({ data: await act("mappings/try", { practice, resource, ...body }) });
    } catch (error) {
      setState({ error });
    }
  };
  const columns = [
    { title: "In the CRM", cell: (row) => row.label },
    { title: "Value", cell: (row) => h(C.Text, { whiteSpace: "normal", overflowWrap: "anywhere", minW: "120px" }, text(row.value)) },
    { title: "Taken from", cell: (row) => mono(row.place || "–") },
    { title: "Why", cell: (row) => wrapped(row.why.join("; ")), hide: "base" },
  ];
  if (!values) return h(Section, { title: "Try a record" }, h(C.Text, { fontSize: "sm", color: "fg.muted" }, `Needs the right to see values: edit the connection ${crm}.`));
  return h(Section, { title: "Try a record" },
    h(C.Text, { fontSize: "sm", color: "fg.muted", mb: 3 }, "Shows the row that the mapping makes, and the path of each value. Nothing is written, logged or stored."),
    h(C.Flex, { gap: 3, wrap: "wrap", align: "flex-end", mb: 3 },
      h(C.Box, null, h("label", null, h(C.Text, { as: "span", fontSize: "xs", color: "fg.muted" }, "eCW id"),
        h(C.Input, { size: "sm", value: form.id, maxLength: 128, onChange: (event) => setForm({ ...form, id: event.target.value }) }))),
      h(C.Button, { size: "sm", variant: "outline", disabled: !form.id.trim(), loading: state.busy, onClick: () => go({ ecw_id: form.id.trim() }) }, "Read from eCW and map")),
    h("label", null, h(C.Text, { as: "span", fontSize: "xs", color: "fg.muted" }, "Or the record as JSON"),
      h(C.Textarea, { value: form.json, rows: 5, fontFamily: "mono", fontSize: "xs", maxLength: 200000, spellCheck: false, onChange: (event) => setForm({ ...form, json: event.target.value }) })),
    h(C.Button, { size: "sm", variant: "outline", mt: 2, mb: 3, disabled: !form.json.trim(), loading: state.busy, onClick: () => go({ json_text: form.json }) }, "Map the JSON"),
    state.error ? h(Problem, { error: state.error }) : null,
    state.data ? h(C.Box, null,
      ...state.data.problems.map((one) => h(Note, { key: one, status: "error", title: "Would be rejected" }, one)),
      ...state.data.warnings.map((one) => h(Note, { key: one, status: "warning" }, one)),
      h(Table, { caption: "The row", columns, rows: state.data.columns, keyOf: (row) => row.column })) : null);
};

export default function Mappings() {
  const [query, change] = useQuery();
  const { practice, dag, picker, error, loading, none } = usePractice();
  const resource = query.resource ?? "patient";
  const found = useApi("mappings", { practice, resource }, { skip: !practice });
  if (error || loading) return h(Fetched, { of: { error, loading } }, () => null);
  return h(C.Box, null,
    h(Title, { subtitle: "Which element of eCW becomes which column, in which direction, and what is left out. The files are in include/mappings." }, "Mappings"),
    h(Filters, null, picker, h(Choice, { label: "Resource", value: resource, any: null, options: RESOURCES, onChange: (value) => change({ resource: value }) })),
    none ? h(Section, null, h(Empty, { title: "Nothing has been pulled yet." }, "Unpause ", h(To, { to: dagTo(dag("ecw_pull")) }, dag("ecw_pull")), " first."))
      : h(Fetched, { of: found }, ({ mapping, crosswalks }) => h(C.Box, null,
          crosswalks.length ? h(Section, { title: "Crosswalks" }, ...crosswalks.map((one) => h(Crosswalk, { key: one.name, practice, resource, one }))) : null,
          h(Columns, { mapping }), h(Excluded, { mapping }), h(Try, { key: `${practice} ${resource}`, practice, resource }))));
}
