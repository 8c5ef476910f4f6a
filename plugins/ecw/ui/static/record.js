// Shared by the pages about records: the chosen practice, the link to a record, and its values on demand.
import { C, Choice, Id, Problem, act, h, pageTo, useApi, useQuery, useRights, useState } from "./kit.js";

/** The synchronised resources, as in resources.py; those that are used most come first. */
export const RESOURCES = ["patient", "insurance", "encounter", "practitioner", "location"];

/** The practice of the address, or the first one: {practice, dag(of), picker, loading, error, none}; `none`: no run yet. */
export const usePractice = () => {
  const [query, change] = useQuery();
  const { data, error, loading, reload } = useApi("practices", { practice: query.practice });
  const names = data?.practices ?? [];
  const practice = data?.practice;
  const { dag } = useRights(practice);
  const picker = names.length > 1
    ? h(Choice, { key: "practice", label: "Practice", value: practice, options: names, any: null, onChange: (name) => change({ practice: name }) }) : null;
  return { practice, dag, picker, error, reload, loading: loading && !data, none: Boolean(data) && !data.ran };
};

/** The address of a record's story. */
export const storyTo = (practice, { resource, ecw_id: ecw, crm_id: crm }) => {
  const pushed = ecw?.startsWith("crm:"); // a reject of the push has the CRM id in place of an eCW id
  return pageTo("story", { practice, resource, ecw_id: pushed ? "" : ecw, crm_id: pushed ? ecw.slice(4) : crm });
};

/** A record by one of its ids, as a link to its story. */
export const RecordId = ({ practice, record }) =>
  h(Id, { value: record.ecw_id ?? record.crm_id, to: storyTo(practice, record), length: 20 });

/** The values of both sides, fetched only by `load()`: they are patient data, which nobody should see by accident. */
export const useSides = (practice, resource, crmId, ecwIds) => {
  const [state, setState] = useState({});
  const load = async () => {
    setState({ loading: true });
    try {
      setState({ data: await act("sides", { practice, resource, crm_id: crmId, ecw_ids: ecwIds }) });
    } catch (error) {
      setState({ error });
    }
  };
  return { ...state, load };
};

const none = (value) => value === null || value === undefined || value === "";
/** How a field differs: "differs" if both sides have a value, else the only side with a value. */
const difference = (one) => {
  if (!one.differs) return undefined;
  if (none(one.crm)) return "only in eCW";
  return Object.values(one.emr).every(none) ? "only in the CRM" : "differs";
};
const text = (value) => (none(value) ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));

const value = { whiteSpace: "normal", overflowWrap: "anywhere", minW: "90px" };

/** Both sides field by field; a word and a colour mark the differences. The columns in `first` come first. */
export const Sides = ({ sides, first = [] }) => {
  const [all, setAll] = useState(false);
  const order = (one) => (first.includes(one.column) ? 0 : [undefined, "only in the CRM", "only in eCW", "differs"].reverse().indexOf(difference(one)) + 1);
  const rows = [...sides.columns].sort((one, other) => order(one) - order(other));
  const shown = all ? rows : rows.filter((one) => order(one) < 4);
  const same = rows.length - rows.filter((one) => order(one) < 4).length;
  return h(C.Box, null,
    sides.missing.length ? h(C.Text, { mb: 2 }, `eCW does not have ${sides.missing.join(", ")} any more.`) : null,
    h(C.Table.ScrollArea, { tabIndex: 0, role: "region", "aria-label": "Both sides" }, h(C.Table.Root, { size: "sm" },
      h(C.Table.Header, null, h(C.Table.Row, null,
        ...["Field", "CRM"].map((title) => h(C.Table.ColumnHeader, { key: title }, title)),
        ...sides.ecw_ids.map((id) => h(C.Table.ColumnHeader, { key: id }, h(C.HStack, { gap: 1 }, "eCW", h(Id, { value: id })))))),
      h(C.Table.Body, null, ...shown.map((one) => h(C.Table.Row, { key: one.column, bg: difference(one) === "differs" ? "bg.warning" : undefined },
        h(C.Table.Cell, { title: one.column, whiteSpace: "normal" }, one.label, one.differs ? h(C.Badge, { ml: 2, colorPalette: difference(one) === "differs" ? "orange" : "gray" }, difference(one)) : null),
        h(C.Table.Cell, value, text(one.crm)),
        ...sides.ecw_ids.map((id) => h(C.Table.Cell, { key: id, ...value }, text(one.emr[id])))))))),
    same ? h(C.Button, { size: "xs", variant: "ghost", mt: 1, onClick: () => setAll(!all) }, all ? "Only what differs" : `Show the ${same} that are the same`) : null);
};

/** The content of an opened row: it wraps, and stays in view if the table is wider than the screen. */
export const Inside = ({ children }) =>
  h(C.Stack, { gap: 3, whiteSpace: "normal", position: "sticky", left: 0, maxW: { base: "calc(100vw - 160px)", md: "100%" } }, children);

/** A button that shows both sides, or the reason why it is disabled; it fetches nothing before it is pressed. */
export const Compare = ({ practice, resource, crmId, ecwIds, first }) => {
  const { values, crm } = useRights(practice);
  const sides = useSides(practice, resource, crmId, ecwIds);
  if (sides.error) return h(Problem, { error: sides.error, retry: sides.load });
  if (sides.data) return h(Sides, { sides: sides.data, first });
  return h(C.Box, null,
    h(C.Button, { size: "xs", variant: "outline", loading: sides.loading, disabled: !values, onClick: sides.load }, "Compare both sides"),
    h(C.Text, { as: "span", fontSize: "xs", color: "fg.muted", ml: 2 },
      values ? "reads the CRM and eCW now; patient data, not stored" : `needs the right to see values: edit the connection ${crm}`));
};
