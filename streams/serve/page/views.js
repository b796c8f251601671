// The views, in the order of the navigation. A new view is a module and an entry here.
//
// path: of the hash it is shown at. title: in the navigation, and as the heading. load: its module,
// whose default export is a component; it is given `rest`, the part of the hash behind the path.

export const views = [
  { path: "overview", title: "Overview", load: () => import("./views/overview.js") },
  { path: "models", title: "Models", load: () => import("./views/models.js") },
  { path: "predictions", title: "Predictions", load: () => import("./views/predictions.js") },
  { path: "labels", title: "Labels", load: () => import("./views/labels.js") },
  { path: "alerts", title: "Alerts", load: () => import("./views/alerts.js") },
  { path: "rejects", title: "Rejects", load: () => import("./views/rejects.js") },
  { path: "flow", title: "Flow", load: () => import("./views/flow.js") },
  { path: "history", title: "History", load: () => import("./views/history.js") },
];
