// The components of all pages of the console: a plain ES module that uses the libraries which Airflow shares.
const { React, ChakraUI: C, ReactRouterDOM: Router } = globalThis;
export { C, React, Router };
export const h = React.createElement;
export const { useCallback, useEffect, useMemo, useRef, useState } = React;

// ---- Addresses and data -------------------------------------------------------------------------------------------

const API = new URL("../api/", import.meta.url);
const AIRFLOW = new URL("../../api/v2/", import.meta.url);
export const HOME = "/plugin/emr-sync";

const query = (params) => {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params ?? {})) {
    if (value !== undefined && value !== null && value !== "") search.set(name, String(value));
  }
  const text = search.toString();
  return text ? `?${text}` : "";
};
/** The address of a route of the API, for a link or a download. */
export const apiHref = (path, params) => new URL(path + query(params), API).href;
/** The address of a page of the console, for a router link. */
export const pageTo = (page, params) => `${HOME}/${page}${query(params)}`;
export const runTo = (dag, run) => `/dags/${encodeURIComponent(dag)}/runs/${encodeURIComponent(run)}`;
export const dagTo = (dag) => `/dags/${encodeURIComponent(dag)}`;

// The message and the next step of a status without a detail of its own.
const MESSAGES = {
  401: ["Your login has ended.", "reload the page and log in again."],
  403: ["You may not see or do this.", "ask an Airflow administrator for the right."],
  404: ["The console's API does not have this address.", "restart Airflow's API server: its plugin is older than this page."],
};

/** An error to show: its message, the next step (`next`) and the person who takes it (`who`). */
export class ApiError extends Error {
  constructor(status, detail) {
    const [what, next] = MESSAGES[status] ?? [`Airflow's API server answered ${status}.`, "try again; then read its log."];
    const fields = detail && typeof detail === "object" && !Array.isArray(detail) ? detail : undefined;
    const plain = typeof detail === "string" && detail !== "Forbidden" && detail !== "Not Found" ? detail : undefined;
    super(fields?.what ?? plain ?? (Array.isArray(detail) ? "A value of the address is not valid." : what));
    this.status = status;
    this.next = fields?.next_step ?? (Array.isArray(detail) ? `correct ${detail.map((one) => one.loc?.at(-1)).join(", ")}.` : next);
    this.who = fields?.who;
  }
}

const call = async (address, options = {}) => {
  let response;
  try {
    response = await fetch(address, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { what: "Airflow's API server does not answer.", next_step: "check that it is up, then try again." });
  }
  const text = await response.text();
  let body;
  try {
    body = text ? JSON.parse(text) : undefined;
  } catch {
    throw new ApiError(response.status, { what: "The response is not JSON.", next_step: "check whether a proxy answers in place of Airflow." });
  }
  if (!response.ok) throw new ApiError(response.status, body?.detail);
  return body;
};
/** Read from the API. */
export const read = (path, params, signal) => call(apiHref(path, params), { signal });
const send = (address, body, method = "POST") =>
  call(address, {
    method,
    headers: { "Content-Type": "application/json", "X-ECW-Console": "1" },
    body: JSON.stringify(body ?? {}),
  });
/** Send an action to the API; resolves to its response. */
export const act = (path, body) => send(new URL(path, API), body);
/**
 * Start a run through Airflow's own API, which checks the right and records the user; resolves to the run's id.
 * A run of a paused DAG would stay queued, so the DAG is unpaused first, as Airflow's own form does.
 */
export const trigger = async (dag, conf) => {
  const address = new URL(`dags/${encodeURIComponent(dag)}`, AIRFLOW);
  if ((await call(address)).is_paused) await send(`${address}?update_mask=is_paused`, { is_paused: false }, "PATCH");
  return (await send(`${address}/dagRuns`, { logical_date: null, conf })).dag_run_id;
};

/** The data of a route: {data, error, loading, reload}. The old data is kept while new data is fetched. */
export const useApi = (path, params, { skip = false } = {}) => {
  const key = skip ? "" : path + query(params);
  const [state, setState] = useState({ loading: true });
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (!key) return undefined;
    const controller = new AbortController();
    setState((before) => ({ ...before, loading: true }));
    read(key, undefined, controller.signal).then(
      (data) => setState({ data, loading: false }),
      (error) => error.name !== "AbortError" && setState({ error, loading: false }),
    );
    return () => controller.abort();
  }, [key, round]);
  return { ...state, reload: useCallback(() => setRound((number) => number + 1), []) };
};

const Rights = React.createContext({ name: "", practices: [] });
export const RightsProvider = Rights.Provider;
const NONE = { practice: "", suffix: "", crm: "crm_default", act: [], values: false };
/** The user's rights to a practice: {suffix, crm, act: [DAG ids], values, dag(of)}; `dag` returns the practice's DAG id. */
export const useRights = (practice) => {
  const { practices } = React.useContext(Rights);
  const rights = practices.find((one) => one.practice === practice) ?? practices.find((one) => one.practice === "") ?? NONE;
  return { ...rights, dag: (of) => of + rights.suffix };
};

/** The address's parameters as an object, and a function that changes some of them and returns to the first page. */
export const useQuery = () => {
  const [params, setParams] = Router.useSearchParams();
  const values = useMemo(() => Object.fromEntries(params), [params]);
  const change = useCallback(
    (changes) =>
      setParams((before) => {
        const next = new URLSearchParams(before);
        next.delete("cursor");
        for (const [name, value] of Object.entries(changes)) {
          if (value === undefined || value === null || value === "") next.delete(name);
          else next.set(name, String(value));
        }
        return next;
      }),
    [setParams],
  );
  return [values, change];
};

// ---- Words, numbers, times ----------------------------------------------------------------------------------------

export const number = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en-US"));
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

const STEPS = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
/** A length of time in its largest unit: "3 hours". */
export const span = (seconds) => {
  const [size, name] = STEPS.find(([size]) => Math.abs(seconds) >= size) ?? STEPS.at(-1);
  return plural(Math.round(Math.abs(seconds) / size), name);
};
const zone = () => {
  try {
    return JSON.parse(localStorage.getItem("timezone")) || undefined;
  } catch {
    return localStorage.getItem("timezone") || undefined;
  }
};
const formats = new Map();
/** A time in the zone that the user chose in Airflow, or else in the browser's zone. */
export const clockTime = (moment, options = { dateStyle: "medium", timeStyle: "short" }) => {
  const key = JSON.stringify([zone(), options]);
  if (!formats.has(key)) {
    let format;
    try {
      format = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: zone() });
    } catch {
      format = new Intl.DateTimeFormat("en-GB", options);
    }
    formats.set(key, format);
  }
  return formats.get(key).format(new Date(moment));
};

/** A time, or with `ago` the span since then; the exact time on hover. */
export const Time = ({ at, ago = false }) => {
  if (!at) return h("span", null, "–");
  const exact = `${clockTime(at, { dateStyle: "medium", timeStyle: "long" })} (${new Date(at).toISOString()})`;
  const text = ago ? `${span((Date.now() - new Date(at)) / 1000)} ago` : clockTime(at);
  return h("time", { dateTime: at, title: exact, style: { whiteSpace: "nowrap" } }, text);
};

/** A shortened id with a button that copies it; the full id on hover and for a screen reader. */
export const Id = ({ value, to, length = 12, text }) => {
  const [copied, setCopied] = useState(false);
  if (!value) return h("span", null, "–");
  // A long id that is shown in full may break anywhere.
  const short = text ?? (value.length > length ? `${value.slice(0, length - 4)}…${value.slice(-3)}` : value);
  const face = { ...(length > 24 ? { whiteSpace: "normal", overflowWrap: "anywhere" } : { whiteSpace: "nowrap" }), ...(text ? {} : { fontFamily: "mono", fontSize: "sm" }) };
  const copy = (event) => {
    event.stopPropagation();
    navigator.clipboard?.writeText(value).then(() => {
      setCopied(true);
      setTimeout(() => setCopied(false), 1500);
    });
  };
  return h(C.HStack, { as: "span", display: "inline-flex", gap: 1, minW: 0, maxW: "100%" },
    to ? h(To, { to, title: value, "aria-label": value }, h(C.Box, { as: "span", ...face }, short))
       : h(C.Box, { as: "span", ...face, title: value }, short),
    h(C.Button, { size: "2xs", variant: "ghost", px: 1, minW: 5, color: "fg.muted", onClick: copy, title: `Copy ${value}`, "aria-label": `Copy ${value}` },
      copied ? "✓" : h(CopyIcon)));
};
const CopyIcon = () =>
  h("svg", { viewBox: "0 0 16 16", width: 12, height: 12, fill: "none", stroke: "currentColor", strokeWidth: 1.5, "aria-hidden": true },
    h("rect", { x: 5.5, y: 5.5, width: 8, height: 9, rx: 1.5 }), h("path", { d: "M10.5 3.5v-1a1 1 0 0 0-1-1h-6a1 1 0 0 0-1 1v8a1 1 0 0 0 1 1h1" }));

/** A run by its kind ("scheduled", "asset triggered"); the full id on hover and to copy. */
export const RunId = ({ value, to }) => h(Id, { value, to, text: value?.split("__")[0].replaceAll("_", " ") });

/** A link inside Airflow. */
export const To = ({ to, children, ...rest }) =>
  h(C.Link, { asChild: true, color: "fg.info", ...rest }, h(Router.Link, { to }, children));

/** A number that links to the records that it counts; without a link if it is missing or zero. */
export const Count = ({ value, to, label, tone }) => {
  if (!value) return h(C.Box, { as: "span", color: "fg.muted" }, number(value));
  const text = h(C.Box, { as: "span", fontWeight: "semibold", ...(tone ? { color: `fg.${tone}` } : {}) }, number(value));
  return to ? h(To, { to, "aria-label": label ? `${number(value)} ${label}` : undefined }, text) : text;
};

const TONES = {
  loaded: "green", done: "green", created: "green", updated: "green", linked: "green", success: "green", pass: "green", whole: "green",
  running: "blue", waiting: "blue", "not approved": "blue", later: "blue", busy: "blue", open: "orange",
  failed: "red", dead: "red", stop: "red", refused: "red", stopped: "red", rejected: "orange", reject: "orange",
  held: "orange", warn: "orange", unknown: "orange", late: "orange", missing: "orange", stale: "orange",
  "fix the data": "orange", "link to existing": "orange", "tell an administrator": "red", "needs a person": "orange", "retry once": "blue", "try again later": "blue",
};
/** A state in its colour. */
export const State = ({ value, tone }) =>
  value ? h(C.Badge, { colorPalette: tone ?? TONES[value] ?? "gray", variant: "subtle", whiteSpace: "nowrap" }, value) : h("span", null, "–");

// ---- Pages --------------------------------------------------------------------------------------------------------

export const Title = ({ children, actions, subtitle }) =>
  h(C.Flex, { justify: "space-between", align: "flex-start", gap: 3, wrap: "wrap", mb: 4 },
    h(C.Box, null, h(C.Heading, { as: "h1", size: "xl" }, children), subtitle ? h(C.Text, { color: "fg.muted", fontSize: "sm" }, subtitle) : null),
    actions ? h(C.HStack, { wrap: "wrap", gap: 2, align: "flex-end" }, actions) : null);

export const Section = ({ title, actions, children, ...rest }) =>
  h(C.Box, { as: "section", borderWidth: "1px", borderColor: "border", borderRadius: "lg", p: { base: 3, md: 4 }, mb: 4, minW: 0, ...rest },
    title || actions
      ? h(C.Flex, { justify: "space-between", align: "center", mb: 3, gap: 2, wrap: "wrap" },
          h(C.Heading, { as: "h2", size: "md" }, title), actions ? h(C.HStack, { wrap: "wrap" }, actions) : null)
      : null,
    children);

/** An error with its next step, and a button to try again. */
export const Problem = ({ error, retry }) =>
  h(C.Alert.Root, { status: error.status === 403 ? "warning" : "error", role: "alert", mb: 4 },
    h(C.Alert.Indicator),
    h(C.Alert.Content, null,
      h(C.Alert.Title, null, error.message),
      h(C.Alert.Description, null, `Next${error.who ? ` (${error.who})` : ""}: ${error.next}`)),
    retry ? h(C.Button, { size: "xs", variant: "outline", onClick: retry }, "Try again") : null);

export const Note = ({ status = "info", title, children, action }) =>
  h(C.Alert.Root, { status, mb: 2 }, h(C.Alert.Indicator),
    h(C.Alert.Content, { minW: 0 }, title ? h(C.Alert.Title, null, title) : null, h(C.Alert.Description, null, children)), action ?? null);

/** The text of a table or page without data. */
export const Empty = ({ title, children, action }) =>
  h(C.Box, { textAlign: "center", py: 8, px: 4, color: "fg.muted" },
    h(C.Text, { fontWeight: "semibold", color: "fg", mb: 1 }, title), h(C.Text, { fontSize: "sm", mb: action ? 3 : 0 }, children), action ?? null);

export const Loading = ({ lines = 4 }) =>
  h(C.Stack, { role: "status", "aria-label": "Loading", gap: 2, py: 2 },
    ...Array.from({ length: lines }, (_, line) => h(C.Skeleton, { key: line, height: "20px", width: `${100 - 12 * (line % 3)}%` })));

/** The states of a fetch: an error, a skeleton, or the result of `children(data)`. */
export const Fetched = ({ of, children, lines }) => {
  if (of.error) return h(Problem, { error: of.error, retry: of.reload });
  if (!of.data) return h(Loading, { lines });
  return h(C.Box, { opacity: of.loading ? 0.6 : 1, "aria-busy": of.loading }, children(of.data));
};

// ---- Tables and filters -------------------------------------------------------------------------------------------

/**
 * A table. `columns`: {title, cell(row), align?, width?, hide?: "base" (below 768 px)}; `keyOf(row)` is a row's key.
 * With `detail(row)` a row can be opened; `empty` is shown without rows.
 */
export const Table = ({ columns, rows, keyOf, caption, empty, detail, select }) => {
  const [open, setOpen] = useState(() => new Set());
  if (!rows.length && empty) return empty;
  const flip = (key) =>
    setOpen((before) => {
      const next = new Set(before);
      if (!next.delete(key)) next.add(key);
      return next;
    });
  const shown = (column) => (column.hide ? { display: { [column.hide]: "none", md: "table-cell" } } : {});
  const width = columns.length + (detail ? 1 : 0) + (select ? 1 : 0);
  return h(C.Table.ScrollArea, { tabIndex: 0, role: "region", "aria-label": caption, maxW: "100%", whiteSpace: "normal" },
    h(C.Table.Root, { size: "sm", interactive: Boolean(detail), css: { "& :is(th, td)": { paddingInline: { base: "1", md: "2" } } } },
      h(C.Table.Caption, { captionSide: "top", css: { position: "absolute", width: "1px", height: "1px", overflow: "hidden", clipPath: "inset(50%)" } }, caption),
      h(C.Table.Header, null, h(C.Table.Row, null,
        detail ? h(C.Table.ColumnHeader, { width: 8 }, h(C.VisuallyHidden, null, "Details")) : null,
        select ? h(C.Table.ColumnHeader, { width: 8 }, select.all) : null,
        ...columns.map((column) => h(C.Table.ColumnHeader, { key: column.title, textAlign: column.align, width: column.width, whiteSpace: "nowrap", ...shown(column) }, column.title)))),
      h(C.Table.Body, null, ...rows.flatMap((row) => {
        const key = keyOf(row);
        const isOpen = open.has(key);
        const line = h(C.Table.Row, { key },
          detail ? h(C.Table.Cell, null, h(C.Button, { size: "2xs", variant: "ghost", onClick: () => flip(key), "aria-expanded": isOpen, "aria-label": isOpen ? "Close the details" : "Open the details" }, isOpen ? "▾" : "▸")) : null,
          select ? h(C.Table.Cell, null, select.cell(row)) : null,
          ...columns.map((column) => h(C.Table.Cell, { key: column.title, textAlign: column.align, ...(column.align === "end" ? { fontVariantNumeric: "tabular-nums" } : {}), ...shown(column) }, column.cell(row))));
        return isOpen ? [line, h(C.Table.Row, { key: `${key} details` }, h(C.Table.Cell, { colSpan: width, bg: "bg.subtle" }, detail(row)))] : [line];
      }))));
};

/** The text that a narrow screen shows below a cell's own text, in place of the hidden columns. */
export const Narrow = ({ children }) => h(C.Box, { display: { base: "block", md: "none" }, fontSize: "sm", color: "fg.muted", overflowWrap: "anywhere", whiteSpace: "normal" }, children);

/** A filter with a fixed list of choices. `options`: values, or [value, label] pairs. */
export const Choice = ({ label, value, options, onChange, any = "all", width = "150px" }) => {
  const id = React.useId();
  return h(C.Box, { minW: "130px", width: { md: width }, flex: { base: "1 1 45%", md: "0 0 auto" } },
    h("label", { htmlFor: id }, h(C.Text, { as: "span", fontSize: "xs", color: "fg.muted" }, label)),
    h(C.NativeSelect.Root, { size: "sm" },
      h(C.NativeSelect.Field, { id, value: value ?? "", onChange: (event) => onChange(event.target.value) },
        any === null ? null : h("option", { value: "" }, any),
        ...options.map((one) => (Array.isArray(one) ? one : [one, one])).map(([value, text]) => h("option", { key: value, value }, text))),
      h(C.NativeSelect.Indicator)));
};

/** A text field, applied with Enter or when it loses the focus; with `live`, on each key. */
export const Field = ({ label, value, onChange, placeholder, type = "text", width = "180px", maxLength = 128, live = false }) => {
  const id = React.useId();
  const [text, setText] = useState(value ?? "");
  useEffect(() => setText(value ?? ""), [value]);
  const done = () => text.trim() !== (value ?? "") && onChange(text.trim());
  return h(C.Box, { minW: "130px", width: { md: width }, flex: { base: "1 1 45%", md: "0 0 auto" } },
    h("label", { htmlFor: id }, h(C.Text, { as: "span", fontSize: "xs", color: "fg.muted" }, label)),
    h(C.Input, { id, size: "sm", type, value: text, placeholder, maxLength, autoComplete: "off", onBlur: done,
      onChange: (event) => { setText(event.target.value); if (live) onChange(event.target.value); },
      onKeyDown: (event) => event.key === "Enter" && done() }));
};

export const Filters = ({ children }) => h(C.Flex, { role: "search", wrap: "wrap", gap: 3, mb: 4, align: "flex-end" }, children);

/** Newer and older pages by a cursor: `next` is where the next page begins. */
export const Pager = ({ next }) => {
  const [params] = Router.useSearchParams();
  const to = (cursor) => {
    const search = new URLSearchParams(params);
    if (cursor) search.set("cursor", cursor);
    else search.delete("cursor");
    return { search: search.toString() };
  };
  if (!next && !params.get("cursor")) return null;
  return h(C.HStack, { as: "nav", "aria-label": "Pages", justify: "flex-end", mt: 3 },
    params.get("cursor") ? h(C.Button, { asChild: true, size: "xs", variant: "outline" }, h(Router.Link, { to: to() }, "Newest")) : null,
    next ? h(C.Button, { asChild: true, size: "xs", variant: "outline" }, h(Router.Link, { to: to(next) }, "Older")) : null);
};

// ---- Actions ------------------------------------------------------------------------------------------------------

/** A dialog that confirms an action; its button is enabled when `ready`. If `onYes` fails, the dialog shows the error. */
export const Confirm = ({ title, children, yes, onYes, button, danger = false, ready = true }) => {
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState();
  const go = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await onYes();
      setOpen(false);
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return h(C.Dialog.Root, { open, onOpenChange: (change) => setOpen(change.open), size: "md", lazyMount: true, unmountOnExit: true },
    h(C.Dialog.Trigger, { asChild: true }, button),
    h(C.Portal, null, h(C.Dialog.Backdrop), h(C.Dialog.Positioner, null, h(C.Dialog.Content, null,
      h(C.Dialog.Header, null, h(C.Dialog.Title, null, title)),
      h(C.Dialog.Body, null, error ? h(Problem, { error }) : null, children),
      h(C.Dialog.Footer, null,
        h(C.Dialog.ActionTrigger, { asChild: true }, h(C.Button, { variant: "outline" }, "Cancel")),
        h(C.Button, { colorPalette: danger ? "red" : "brand", loading: busy, disabled: !ready, onClick: go }, yes))))));
};

/** A button that starts a DAG with its form filled in; disabled, with the reason, for a user without the right. */
export const Start = ({ dag, conf, label, explain, size = "sm", variant = "outline", ready = true, children }) => {
  const { practices } = React.useContext(Rights);
  const navigate = Router.useNavigate();
  const allowed = practices.some((one) => one.act.includes(dag));
  const button = h(C.Button, { size, variant, disabled: !allowed, title: allowed ? undefined : `You may not trigger ${dag}.` }, label);
  if (!allowed) return button;
  return h(Confirm, { title: label, yes: "Start the run", button, ready, onYes: async () => navigate(runTo(dag, await trigger(dag, conf))) },
    h(C.Text, { mb: 2 }, explain),
    h(C.Text, { fontSize: "sm", color: "fg.muted", mb: 2 }, "If the DAG is paused, this unpauses it; a DAG with a schedule then runs by it."),
    children,
    h(C.Text, { fontSize: "sm", color: "fg.muted", mb: 1 }, "The form of ", h(To, { to: dagTo(dag) }, dag), ", filled in:"),
    h(C.Code, { as: "pre", display: "block", whiteSpace: "pre-wrap", p: 2 }, JSON.stringify(conf, null, 2)));
};
