// EMR sync: the entry in Airflow's navigation. A page is a module in ./pages with a default component, and a line here.
import { C, Empty, Loading, HOME, Problem, RightsProvider, Router, React, h, read, useEffect, useState } from "./kit.js";

// address, name in the navigation, module
const PAGES = [
  ["overview", "Overview", () => import("./pages/overview.js")],
  ["logs", "Integration Logs", () => import("./pages/logs.js")],
  ["story", "Record story", () => import("./pages/story.js")],
  ["rejects", "Rejects", () => import("./pages/rejects.js")],
  ["conflicts", "Conflicts and matches", () => import("./pages/conflicts.js")],
  ["mappings", "Mappings", () => import("./pages/mappings.js")],
  ["quality", "Quality", () => import("./pages/quality.js")],
];

const modules = new Map();
const useModule = (load) => {
  const [state, setState] = useState(() => ({ component: modules.get(load) }));
  useEffect(() => {
    if (modules.has(load)) return setState({ component: modules.get(load) });
    let current = true;
    setState({});
    load().then(
      (module) => {
        modules.set(load, module.default);
        if (current) setState({ component: module.default });
      },
      () => current && setState({ failed: true }),
    );
    return () => { current = false; };
  }, [load]);
  return state;
};

/** Shows the error of a page that failed, in place of the page; the navigation stays. */
class Guard extends React.Component {
  state = {};
  static getDerivedStateFromError(error) {
    return { error };
  }
  render() {
    if (!this.state.error) return this.props.children;
    return h(Problem, { error: { message: `This page failed: ${this.state.error.message}`, next: "reload it; then report it with the browser's console." } });
  }
}

const Navigation = ({ current }) =>
  h(C.Flex, { as: "nav", "aria-label": "EMR sync", gap: 1, wrap: "wrap", mb: 4, borderBottomWidth: "1px", borderColor: "border" },
    ...PAGES.map(([address, name]) =>
      h(C.Link, { key: address, asChild: true, px: { base: 2, md: 3 }, py: { base: 1, md: 2 }, mb: "-1px", fontSize: "sm", fontWeight: current === address ? "semibold" : "normal",
        color: current === address ? "fg" : "fg.muted", borderBottomWidth: "3px", borderColor: current === address ? "border.info" : "transparent",
        _hover: { color: "fg", textDecoration: "none" } },
        h(Router.Link, { to: `${HOME}/${address}`, "aria-current": current === address ? "page" : undefined }, name))));

const Page = ({ load }) => {
  const { component, failed } = useModule(load);
  if (failed) return h(Problem, { error: { message: "The page's module could not be loaded.", next: "check that Airflow's API server is up, then reload the page." } });
  return component ? h(Guard, null, h(component)) : h(Loading);
};

let cachedRights; // the user's rights, fetched once
const Console = () => {
  const { pathname } = Router.useLocation();
  const [state, setState] = useState({ rights: cachedRights });
  useEffect(() => {
    if (!cachedRights) read("me").then((rights) => setState({ rights: (cachedRights = rights) }), (error) => setState({ error }));
  }, []);
  const address = pathname.split("/plugin/emr-sync")[1]?.split("/")[1] || PAGES[0][0];
  const page = PAGES.find(([one]) => one === address);
  let content;
  if (state.error) content = h(Problem, { error: state.error, retry: () => globalThis.location.reload() });
  else if (!state.rights) content = h(Loading);
  else if (!page) content = h(Empty, { title: "This page does not exist." }, "Choose one above.");
  else content = h(RightsProvider, { value: state.rights }, h(Page, { load: page[2] }));
  return h(C.Box, { as: "main", p: { base: 3, md: 4 }, height: "100%", overflowY: "auto", "data-testid": "emr-sync" }, h(Navigation, { current: address }), content);
};

globalThis["EMR sync"] = Console;
export default Console;
