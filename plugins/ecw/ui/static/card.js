// The card on Airflow's Home: one line for each practice, with the number of records that wait for a person.
import { C, Count, Problem, State, To, h, pageTo, plural, span, useApi } from "./kit.js";

const sum = (resources, name) => resources.reduce((total, one) => total + one[name], 0);

const Line = ({ practice: { practice, resources } }) => {
  const late = resources.filter((one) => one.late);
  const failed = resources.filter((one) => ["failed", "dead"].includes(one.last_run?.state));
  const oldest = resources.filter((one) => one.age_seconds !== null).sort((one, other) => other.age_seconds - one.age_seconds)[0];
  const waits = [["open_rejects", "reject"], ["conflicts", "conflict"], ["held", "held match", "held matches"], ["unknown", "unknown outcome"]]
    .map(([name, one, many]) => [sum(resources, name), one, many]).filter(([count]) => count)
    .map(([count, one, many]) => plural(count, one, many));
  const word = failed.length ? "failed" : late.length ? "late" : oldest ? "up to date" : "never pulled";
  return h(C.Flex, { as: "li", gap: 3, align: "baseline", wrap: "wrap", py: 1 },
    h(To, { to: pageTo("overview", { practice }), fontWeight: "semibold", minW: "90px" }, practice),
    h(State, { value: word, tone: word === "up to date" ? "green" : word === "failed" ? "red" : "orange" }),
    h(C.Text, { fontSize: "sm" }, oldest ? `oldest: ${oldest.resource}, ${span(oldest.age_seconds)}` : "nothing loaded yet"),
    h(C.Text, { fontSize: "sm", color: waits.length ? "fg" : "fg.muted" }, waits.length ? `needs a person: ${waits.join(", ")}` : "nothing waits"));
};

const Unread = ({ crm }) =>
  h(C.Text, { as: "li", fontSize: "sm", py: 1 }, `${crm.practices.join(", ")}: ${crm.what} Next (${crm.who}): ${crm.next_step}`);

const Card = () => {
  const { data, error } = useApi("status");
  if (error?.status === 403 || error?.status === 401) return null; // no card for a user who may not see the runs
  return h(C.Box, { as: "section", borderWidth: "1px", borderColor: "border", borderRadius: "lg", p: 4, "aria-label": "EMR sync" },
    h(C.Heading, { as: "h2", size: "md", mb: 2 }, h(To, { to: pageTo("overview") }, "EMR sync")),
    error ? h(Problem, { error }) : !data ? h(C.Skeleton, { height: "24px" })
      : data.practices.length || data.unreachable.length ? h(C.Box, { as: "ul", listStyleType: "none" },
          ...data.practices.map((one) => h(Line, { key: one.practice, practice: one })), ...data.unreachable.map((one) => h(Unread, { key: one.practices[0], crm: one })))
      : h(C.Text, { fontSize: "sm", color: "fg.muted" }, "No practice has been pulled yet: ", h(To, { to: pageTo("overview") }, "begin with the first pull"), "."));
};

globalThis["EMR sync card"] = Card;
export default Card;
