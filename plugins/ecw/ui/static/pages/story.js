// A record's story: the search by id, number or name, the reasons for its state, its history, and related records.
import {
  C, Choice, Empty, Fetched, Field, Filters, Id, Narrow, Note, Problem, React, Section, Start, State, Table, Time, Title, To,
  act, clockTime, h, pageTo, plural, runTo, useApi, useQuery, useRights, useState,
} from "../kit.js";
import { Compare, RecordId, RESOURCES, storyTo, usePractice } from "../record.js";

const TONES = { loaded: "green", pushed: "blue", rejected: "orange", deferred: "orange", conflict: "orange", decision: "purple", resolved: "green" };

const Search = ({ practice, onFound }) => {
  const [query, change] = useQuery();
  const rights = useRights(practice);
  const [error, setError] = useState();
  const byValue = async (text) => {
    setError(undefined);
    if (!text) return onFound(undefined);
    try {
      onFound((await act("records/search", { practice, resource: query.of ?? "", text })).records);
    } catch (problem) {
      setError(problem);
    }
  };
  return h(C.Box, null,
    h(Filters, null,
      h(Choice, { label: "Resource", value: query.of, options: RESOURCES, onChange: (value) => change({ of: value }) }),
      h(Field, { label: "eCW id or CRM id", value: query.id, placeholder: "press Enter", onChange: (value) => { onFound(undefined); change({ id: value, resource: undefined, ecw_id: undefined, crm_id: undefined }); } }),
      rights.values
        ? h(Field, { label: "MR number or name", value: "", placeholder: "patient data: not stored", width: "230px", onChange: byValue })
        : h(C.Text, { fontSize: "xs", color: "fg.muted", maxW: "220px" }, `Searching by MR number or name needs the right to edit the connection ${rights.crm}.`)),
    error ? h(Problem, { error }) : null);
};

const Results = ({ practice, records }) => {
  const columns = [
    { title: "Resource", cell: (row) => row.resource },
    { title: "eCW id", cell: (row) => row.ecw_id ? h(Id, { value: row.ecw_id, to: storyTo(practice, row), length: 24 }) : "not linked" },
    { title: "CRM id", cell: (row) => row.crm_id ? h(Id, { value: row.crm_id, to: storyTo(practice, row) }) : "–" },
  ];
  return records.length
    ? h(Section, { title: plural(records.length, "record") }, h(Table, { caption: "Found records", columns, rows: records, keyOf: (row) => [row.resource, row.ecw_id, row.crm_id].join(" ") }))
    : h(Section, null, h(Empty, { title: "No record was found." }, "An id must be complete. A record that no run has fetched yet cannot be found here: pull it with the form of ecw_pull, mode “only these patients”."));
};

const Found = ({ practice, dag, id, resource }) => {
  const found = useApi("records", { practice, id, resource });
  return h(Fetched, { of: found }, ({ records }) => records.length === 1
    ? h(OneStory, { practice, dag, record: records[0] }) : h(Results, { practice, records }));
};

const Why = ({ practice, story }) => h(Section, { title: "Reasons for its state" },
  h(C.Box, { as: "ul", listStyleType: "none" }, ...story.reasons.map((one, at) => h(C.Flex, { as: "li", key: at, gap: 2, py: 1, align: "baseline" },
    h(C.Badge, { colorPalette: one.waits ? "orange" : "gray", flexShrink: 0 }, one.waits ? "waits" : "info"),
    h(C.Text, { fontSize: "sm" }, one.text, " ",
      one.page ? h(To, { to: pageTo(one.page, { practice, ...(one.page === "rejects" ? { record: story.record.ecw_id ?? `crm:${story.record.crm_id}` } : {}) }) }, "Act on it") : null)))));

const Happened = ({ dag, event }) => h(C.Flex, { as: "li", gap: 3, py: 2, borderTopWidth: "1px", borderColor: "border", direction: { base: "column", md: "row" } },
  h(C.Box, { minW: "165px", fontSize: "sm", color: "fg.muted" }, h(Time, { at: event.at })),
  h(C.Box, { minW: "90px" }, h(State, { value: event.kind, tone: TONES[event.kind] })),
  h(C.Box, { fontSize: "sm", minW: 0 },
    h(C.Text, { wordBreak: "break-word" }, event.title, event.code ? h(C.Badge, { ml: 2 }, event.code) : null),
    event.fields.length ? h(C.Text, { color: "fg.muted" }, `Fields: ${event.fields.join(", ")}`) : null,
    event.next_step ? h(C.Text, null, `Next: ${event.next_step}`) : null,
    h(C.HStack, { gap: 3, color: "fg.muted", wrap: "wrap" },
      event.by ? `by ${event.by}` : null,
      event.run_id && event.dag ? h(To, { to: runTo(dag(event.dag), event.run_id), title: event.run_id }, dag(event.dag)) : event.run_id,
      event.mapping_version ? h("span", { title: event.mapping_version }, `mapping ${event.mapping_version.slice(0, 8)}`) : null)));

const refers = (row) => (row.refers === "to" ? "refers to" : "is referred to by");

const Links = ({ practice, record }) => {
  const related = useApi("records/related", { practice, ...record }, { skip: !record.ecw_id });
  if (!record.ecw_id) return null;
  const columns = [
    { title: "Reference", hide: "base", cell: refers },
    { title: "Resource", cell: (row) => h(C.Box, null, row.resource, h(Narrow, null, refers(row))) },
    { title: "Record", cell: (row) => h(RecordId, { practice, record: row }) },
    { title: "Field", cell: (row) => row.column, hide: "base" },
  ];
  return h(Section, { title: "Belongs together" }, h(Fetched, { of: related, lines: 2 }, ({ related: rows }) => rows.length
    ? h(Table, { caption: "Related records", columns, rows, keyOf: (row) => [row.refers, row.resource, row.ecw_id, row.column].join(" ") })
    : h(C.Text, { fontSize: "sm", color: "fg.muted" }, "No record refers to it, and it refers to none.")));
};

const OneStory = ({ practice, dag, record }) => {
  const story = useApi("records/story", { practice, resource: record.resource, ecw_id: record.ecw_id, crm_id: record.crm_id });
  return h(Fetched, { of: story }, (data) => {
    const { ecw_id: ecw, crm_id: crm, resource } = data.record;
    const pull = resource === "patient" && ecw ? { mode: "patients", patients: [ecw] } : undefined;
    return h(C.Box, null,
      h(Section, { title: `One ${resource}`, actions: [
        pull ? h(Start, { key: "pull", dag: dag("ecw_pull"), conf: pull, label: "Pull this patient", explain: "Fetches the patient again, with insurance and encounters." }) : null,
        resource === "patient" && crm ? h(Start, { key: "push", dag: dag("ecw_push_patients"), conf: { patients: [`crm:${crm}`] }, label: "Push this patient", explain: "Sends the values that changed since the CRM and eCW last agreed." }) : null,
      ] },
        h(C.Flex, { gap: 6, wrap: "wrap", fontSize: "sm" },
          h(C.Box, { minW: 0 }, h(C.Text, { color: "fg.muted" }, "eCW id"), h(Id, { value: ecw, length: 40 })),
          h(C.Box, { minW: 0 }, h(C.Text, { color: "fg.muted" }, "CRM id"), h(Id, { value: crm, length: 40 })),
          data.link ? h(C.Box, null, h(C.Text, { color: "fg.muted" }, "Last fetched"), h(Time, { at: data.link.last_seen_at, ago: true })) : null,
          data.link?.source_version ? h(C.Box, null, h(C.Text, { color: "fg.muted" }, "Version in eCW"), h(Time, { at: data.link.source_version })) : null),
        crm && ecw ? h(C.Box, { mt: 3 }, h(Compare, { practice, resource, crmId: crm, ecwIds: [ecw] })) : null),
      h(Why, { practice, story: data }),
      h(Section, { title: "What happened, the newest first" }, data.events.length
        ? h(C.Box, { as: "ol", listStyleType: "none" }, ...data.events.map((event, at) => h(Happened, { key: at, dag, event })))
        : h(C.Text, { fontSize: "sm", color: "fg.muted" }, "Nothing yet: no run has changed it."),
        data.more ? h(To, { to: pageTo("logs", { practice, record: ecw ?? crm }) }, "All entries in the Integration Logs") : null),
      h(Links, { practice, record: data.record }));
  });
};

export default function Story() {
  const [query] = useQuery();
  const { practice, dag, picker, error, loading, none } = usePractice();
  const [found, setFound] = useState();
  React.useEffect(() => setFound(undefined), [query.resource, query.ecw_id, query.crm_id]);
  if (error || loading) return h(Fetched, { of: { error, loading } }, () => null);
  const record = query.resource && (query.ecw_id || query.crm_id) ? { resource: query.resource, ecw_id: query.ecw_id, crm_id: query.crm_id } : undefined;
  return h(C.Box, null,
    h(Title, { subtitle: "The history of one record, and the reasons for its state." }, "Record story"),
    picker,
    h(Search, { practice, onFound: setFound }),
    found ? h(Results, { practice, records: found })
      : record ? h(OneStory, { practice, dag, record })
      : query.id ? h(Found, { practice, dag, id: query.id, resource: query.resource ?? query.of })
      : h(Section, null, h(Empty, { title: none ? "Nothing has been pulled yet." : "Which record?" }, "Enter its id in eCW or in the CRM. Ids on the other pages of the console link to this page.")));
}
