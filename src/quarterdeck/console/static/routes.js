// Which address shows which view. A view's file is loaded when it is first looked at.

export const ROUTES = [
  ["/", { view: () => import("./views/overview.js"), title: "Overview", room: "overview" }],
  [
    "/dashboard/system/queues",
    { view: () => import("./views/queues.js"), title: "Queues", room: "queues" },
  ],
  [
    "/dashboard/system/queues/:queue",
    { view: () => import("./views/queue.js"), title: "Queue", room: "queues" },
  ],
  [
    "/dashboard/system/jobs/:job",
    { view: () => import("./views/job.js"), title: "Job", room: "queues" },
  ],
  [
    "/dashboard/system/infrastructure",
    { view: () => import("./views/infrastructure.js"), title: "Infrastructure", room: "infra" },
  ],
  [
    "/dashboard/system/infrastructure/services/:service",
    { view: () => import("./views/service.js"), title: "Service", room: "infra" },
  ],
  [
    "/dashboard/system/infrastructure/ips/:ip",
    { view: () => import("./views/ip.js"), title: "Sending IP", room: "infra" },
  ],
  ["/console/alerts/:alert", { view: () => import("./views/alert.js"), title: "Alert", room: "infra" }],
  [
    "/dashboard/system/logs",
    { view: () => import("./views/logs.js"), title: "Logs", room: "logs" },
  ],
  [
    "/dashboard/system/audit",
    { view: () => import("./views/audit.js"), title: "Audit", room: "audit", right: "change" },
  ],
  [
    "/dashboard/settings/tokens",
    { view: () => import("./views/tokens.js"), title: "Tokens", room: "tokens", right: "administer" },
  ],
];

/** The rail, in order. `key` follows `g`: `g q` goes to the queues. */
export const PLACES = [
  { room: "overview", title: "Overview", href: "/", key: "o" },
  { room: "queues", title: "Queues", href: "/dashboard/system/queues", key: "q" },
  { room: "infra", title: "Infrastructure", href: "/dashboard/system/infrastructure", key: "i" },
  { room: "logs", title: "Logs", href: "/dashboard/system/logs", key: "l" },
  { room: "audit", title: "Audit", href: "/dashboard/system/audit", key: "a", right: "change" },
  {
    room: "tokens",
    title: "Tokens",
    href: "/dashboard/settings/tokens",
    key: "t",
    right: "administer",
  },
];

export const isOurs = (path) =>
  path === "/" || path.startsWith("/dashboard/") || path.startsWith("/console/alerts/");
