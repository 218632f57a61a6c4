/** Small things remembered between visits. A browser that forbids storage forgets them; nothing else breaks. */
export interface Remembered {
  get(): string;
  set(value: string): void;
}

export function remembered(key: string, otherwise: string): Remembered {
  return {
    get() {
      try {
        return localStorage.getItem(key) ?? otherwise;
      } catch {
        return otherwise;
      }
    },
    set(value) {
      try {
        if (value === otherwise) localStorage.removeItem(key);
        else localStorage.setItem(key, value);
      } catch {
        // Forbidden or full: the value lives as long as the page.
      }
    },
  };
}
