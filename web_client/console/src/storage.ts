/** Small things remembered between visits. A browser that forbids storage forgets them; nothing else breaks. */
export interface Remembered {
  get(): string;
  set(value: string): void;
}

export function remembered(key: string, otherwise: string, store: () => Storage = () => localStorage): Remembered {
  return {
    get() {
      try {
        return store().getItem(key) ?? otherwise;
      } catch {
        return otherwise;
      }
    },
    set(value) {
      try {
        if (value === otherwise) store().removeItem(key);
        else store().setItem(key, value);
      } catch {
        // Forbidden or full: the value lives as long as the page.
      }
    },
  };
}
