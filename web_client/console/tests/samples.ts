/** Values of the contracts, as short as tests want them. */
import type { Alert, AlertThreshold, HostSample, PresenceMember, WatchChange, WatchEntry } from "../src/contracts";

export function sample(at: number, total = 10, host = "loom"): HostSample {
  return {
    host,
    at,
    cpu: { total, per_core: [total, total] },
    memory: { total: 100, used: 50, available: 50, percent: 50 },
    disk: { read_bytes_per_s: 0, write_bytes_per_s: 1, used_percent: 40 },
    network: { sent_bytes_per_s: 2, received_bytes_per_s: 3 },
    load: [0.1, 0.2, 0.3],
  };
}

export function entry(path: string, size: number | null = 1): WatchEntry {
  return { path, is_dir: size === null, size, modified: 900 };
}

export function change(kind: WatchChange["kind"], path: string, size: number | null = 1): WatchChange {
  return { root: "data", path, kind, is_dir: size === null, size, modified: 950, at: 950 };
}

export const THRESHOLD: AlertThreshold = { metric: "cpu", raise_at: 80, clear_at: 70, for_s: 10 };

export function alert(id: string, at = 100, value = 85): Alert {
  return {
    id,
    host: "loom",
    metric: "cpu",
    value,
    threshold: THRESHOLD,
    at,
    message: `CPU of loom is at ${value} %.`,
    acknowledged_by: null,
    cleared_at: null,
  };
}

export function member(session: number, role = "guest", authid = `${role}-${session}`): PresenceMember {
  return { session, authid, role, door: "raw", since: 100 };
}
