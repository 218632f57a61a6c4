/** A name from a disk: always text, never markup, on its own direction, and with unseen characters shown. */
import { nameParts } from "../state/names";

export function FileName({ name }: { readonly name: string }) {
  return (
    <bdi class="file-name" title={name}>
      {nameParts(name).map(({ text, escaped }, index) =>
        escaped ? (
          <span key={index} class="escaped">
            {text}
          </span>
        ) : (
          text
        ),
      )}
    </bdi>
  );
}
