/** Starts the page. */
import { effect } from "@preact/signals";
import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import { createConsole } from "./console";
import { openLink } from "./fabric";
import { browserPage } from "./page";
import { remembered } from "./storage";
import "./styles/index.css";
import { followTheme } from "./theme";
import { App } from "./views/App";
import { routeOf } from "./views/Header";

followTheme(document.documentElement);
const model = createConsole(
  openLink(() => location.reload()),
  browserPage(),
  {
    name: remembered("hopsack.operator.name", "duty"),
    duty: remembered("hopsack.operator.duty", "off"),
  },
);

const TITLE = "Hopsack";
effect(() => {
  const { open } = model.operator.desk.value;
  document.title = open === undefined ? TITLE : `(?) ${open.question.text} · ${TITLE}`;
});

const root = document.getElementById("app");
if (root === null) throw new Error('index.html lacks its element "app"');
render(<App model={model} route={routeOf(location, window)} />, root);
