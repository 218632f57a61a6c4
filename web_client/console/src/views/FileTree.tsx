/** The tree of a folder. Bound: 400 rows in the page at once; the filter reaches the rest. */
import { useMemo, useState } from "preact/hooks";
import { asText, bytes, clockTime, count } from "../state/format";
import { type TreeRow, treeOf } from "../state/tree";
import type { Folder } from "../state/watch";
import { FileName } from "./FileName";
import { ChevronIcon, FileIcon, FolderIcon } from "./icons";
import { Skeleton } from "./Panel";

const ROWS_SHOWN = 400;

/** Small folders are open from the start. */
const OPEN_UP_TO = 40;

export function FileTree({ folder }: { readonly folder: Folder }) {
  const [filter, setFilter] = useState("");
  const [toggled, setToggled] = useState<ReadonlyMap<string, boolean>>(new Map());
  const openByDefault = folder.entries.size <= OPEN_UP_TO;
  const { rows, hidden } = useMemo(
    () => treeOf(folder.entries, { toggled, openByDefault, filter, limit: ROWS_SHOWN }),
    [folder.entries, toggled, openByDefault, filter],
  );
  const toggle = ({ path, open }: TreeRow) => setToggled(new Map(toggled).set(path, open !== true));
  return (
    <div class="tree">
      <label class="filter">
        <span class="sr-only">Filter by path</span>
        <input
          class="small"
          type="search"
          placeholder="Filter by path"
          value={filter}
          onInput={(event) => setFilter(event.currentTarget.value)}
        />
      </label>
      <section class="tree-scroll" aria-label={`Contents of ${folder.root}`}>
        {rows.length === 0 ? (
          <NoRows folder={folder} filter={filter} />
        ) : (
          <table class="rows" data-testid="tree">
            <colgroup>
              <col />
              <col class="col-size" />
              <col class="col-time" />
            </colgroup>
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">Size</th>
                <th scope="col" class="tree-time">
                  Changed
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <Row key={row.path} row={row} touched={folder.touched.get(row.path)} toggle={toggle} />
              ))}
            </tbody>
          </table>
        )}
        {hidden > 0 && <p class="tree-more">{count(hidden, "more row")}: narrow them down with the filter.</p>}
      </section>
    </div>
  );
}

interface RowProps {
  readonly row: TreeRow;
  readonly touched: number | undefined;
  readonly toggle: (row: TreeRow) => void;
}

function Row({ row, touched, toggle }: RowProps) {
  const { entry, depth, name, open } = row;
  return (
    <tr class={touched === undefined ? "" : "touched"}>
      <th scope="row">
        <span class="tree-name" style={{ "--depth": depth }}>
          {/* The key restarts the flash at every change. */}
          {touched !== undefined && <span key={touched} class="flash" aria-hidden="true" />}
          {open === undefined ? (
            <span class="tree-file">
              <FileIcon />
              <FileName name={name} />
            </span>
          ) : (
            <button
              type="button"
              class={open ? "tree-folder tree-open" : "tree-folder"}
              aria-expanded={open}
              onClick={() => toggle(row)}
            >
              <ChevronIcon />
              <FolderIcon />
              <FileName name={name} />
            </button>
          )}
        </span>
      </th>
      <td class="number">{entry.size === null ? "" : asText(bytes(entry.size))}</td>
      <td class="number tree-time">
        <time
          dateTime={new Date(entry.modified * 1000).toISOString()}
          title={new Date(entry.modified * 1000).toLocaleString()}
        >
          {dayOrTime(entry.modified)}
        </time>
      </td>
    </tr>
  );
}

/** The time of what changed today, else the day: both ten characters or fewer. */
function dayOrTime(epochSeconds: number): string {
  const at = new Date(epochSeconds * 1000);
  if (at.toDateString() === new Date().toDateString()) return clockTime(epochSeconds);
  return `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, "0")}-${String(at.getDate()).padStart(2, "0")}`;
}

function NoRows({ folder, filter }: { readonly folder: Folder; readonly filter: string }) {
  if (folder.phase === "loading" && folder.entries.size === 0) return <Skeleton rows={6} label="Reading the folder" />;
  return <p class="tree-more">{filter === "" ? "This folder is empty." : "No path holds that text."}</p>;
}
