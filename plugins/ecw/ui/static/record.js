// What the pages about records share: the practice that is looked at, a record's name, and its values on demand.
import { C, Choice, Id, Problem, act, h, pageTo, useApi, useQuery, useRights, useState } from "./kit.js";

/** The practice of the address, or the first one: {practice, picker, loading, error}. */
export const usePractice = () => {
  const [query, change] = useQuery();
  const { data, error, loading, reload } = useApi("practices");
  const names = data?.practices ?? [];
  const practice = query.practice ?? names[0];
  const picker = names.length > 1
    ? h(Choice, { key: "practice", label: "Practice", value: practice, options: names, any: null, onChange: (name) => change({ practice: name }) }) : null;
  return { practice, picker, error, reload, loading: loading && !data, none: Boolean(data) && !practice };
};

/** The address of a record's story. */
export const storyTo = (practice, { resource, ecw_id: ecw, crm_id: crm }) => {
  const pushed = ecw?.startsWith("crm:"); // the rejects of a push stand under the CRM's id
  return pageTo("story", { practice, resource, ecw_id: pushed ? "" : ecw, crm_id: pushed ? ecw.slice(4) : crm });
};

/** A record by one of its ids, as a link to its story. */
export const RecordId = ({ practice, record }) =>
  h(Id, { value: record.ecw_id ?? record.crm_id, to: storyTo(practice, record), length: 20 });

/** Fetches both sides' values when it is asked to: they are patient data, so nobody sees them by accident. */
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

const text = (value) => (value === null || value === undefined || value === "" ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));

/** Both sides field by field, the differences marked by a word as well as a colour. `only`: these columns first. */
export const Sides = ({ sides, first = [] }) => {
  const [all, setAll] = useState(false);
  const order = (one) => (first.includes(one.column) ? 0 : one.differs ? 1 : 2);
  const rows = [...sides.columns].sort((one, other) => order(one) - order(other));
  const shown = all ? rows : rows.filter((one) => order(one) < 2);
  const same = rows.length - rows.filter((one) => order(one) < 2).length;
  return h(C.Box, null,
    sides.missing.length ? h(C.Text, { mb: 2 }, `eCW does not have ${sides.missing.join(", ")} any more.`) : null,
    h(C.Table.ScrollArea, null, h(C.Table.Root, { size: "sm" },
      h(C.Table.Header, null, h(C.Table.Row, null,
        ...["Field", "CRM", ...sides.ecw_ids.map((id) => `eCW ${id}`)].map((title) => h(C.Table.ColumnHeader, { key: title }, title)))),
      h(C.Table.Body, null, ...shown.map((one) => h(C.Table.Row, { key: one.column, bg: one.differs ? "bg.warning" : undefined },
        h(C.Table.Cell, { title: one.column }, one.label, one.differs ? h(C.Badge, { ml: 2, colorPalette: "orange" }, "differs") : null),
        h(C.Table.Cell, { wordBreak: "break-word" }, text(one.crm)),
        ...sides.ecw_ids.map((id) => h(C.Table.Cell, { key: id, wordBreak: "break-word" }, text(one.emr[id])))))))),
    same ? h(C.Button, { size: "xs", variant: "ghost", mt: 1, onClick: () => setAll(!all) }, all ? "Only what differs" : `Show the ${same} that are the same`) : null);
};

/** A button that shows both sides, or why it cannot; nothing is fetched before it is pressed. */
export const Compare = ({ practice, resource, crmId, ecwIds, first }) => {
  const { values } = useRights();
  const sides = useSides(practice, resource, crmId, ecwIds);
  if (sides.error) return h(Problem, { error: sides.error, retry: sides.load });
  if (sides.data) return h(Sides, { sides: sides.data, first });
  return h(C.Box, null,
    h(C.Button, { size: "xs", variant: "outline", loading: sides.loading, disabled: !values, onClick: sides.load }, "Compare both sides"),
    h(C.Text, { as: "span", fontSize: "xs", color: "fg.muted", ml: 2 },
      values ? "reads the CRM and eCW now: patient data, kept nowhere" : "needs the right to see values: edit the connection crm_default"));
};
