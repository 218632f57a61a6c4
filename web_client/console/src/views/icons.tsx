/** The page's few pictures. All are decoration: the words beside them say the same. */
import type { ComponentChildren } from "preact";

function Icon({ children }: { readonly children: ComponentChildren }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect class="logo-ground" width="32" height="32" rx="7" />
      <g class="logo-warp">
        <rect x="7" y="6" width="4" height="9" rx="1.5" />
        <rect x="12.5" y="6" width="4" height="9" rx="1.5" />
        <rect x="15.5" y="17" width="4" height="9" rx="1.5" />
        <rect x="21" y="17" width="4" height="9" rx="1.5" />
      </g>
      <g class="logo-weft">
        <rect x="18" y="7" width="8" height="3.4" rx="1.5" />
        <rect x="18" y="11.6" width="8" height="3.4" rx="1.5" />
        <rect x="6" y="17" width="8" height="3.4" rx="1.5" />
        <rect x="6" y="21.6" width="8" height="3.4" rx="1.5" />
      </g>
    </svg>
  );
}

export const WarningIcon = () => (
  <Icon>
    <path d="M8 2 14.5 13.5h-13z" />
    <path d="M8 6.5v3.2M8 11.7v.1" />
  </Icon>
);

export const CriticalIcon = () => (
  <Icon>
    <path d="M5.2 1.8h5.6l3.4 3.4v5.6l-3.4 3.4H5.2l-3.4-3.4V5.2z" />
    <path d="M8 4.8v4M8 11.2v.1" />
  </Icon>
);

export const CheckIcon = () => (
  <Icon>
    <path d="m3 8.5 3.2 3.2L13 5" />
  </Icon>
);

export const FolderIcon = () => (
  <Icon>
    <path d="M1.8 4.2c0-.6.4-1 1-1h3.4l1.4 1.6h5.6c.6 0 1 .4 1 1v6c0 .6-.4 1-1 1H2.8c-.6 0-1-.4-1-1z" />
  </Icon>
);

export const FileIcon = () => (
  <Icon>
    <path d="M4 1.8h5.2L12.4 5v9.2H4z" />
    <path d="M9 2v3.2h3.2" />
  </Icon>
);

export const ChevronIcon = () => (
  <Icon>
    <path d="m6 4 4 4-4 4" />
  </Icon>
);

export const PlugIcon = () => (
  <Icon>
    <path d="M5.5 1.8v3.4M10.5 1.8v3.4M3.5 5.2h9v2.6a4.5 4.5 0 0 1-9 0zM8 12.3v2.2" />
  </Icon>
);

export const LockIcon = () => (
  <Icon>
    <path d="M3.5 7.2h9v6.3h-9zM5.3 7.2V5a2.7 2.7 0 0 1 5.4 0v2.2M8 9.6v1.6" />
  </Icon>
);

export const CloseIcon = () => (
  <Icon>
    <path d="m4 4 8 8M12 4l-8 8" />
  </Icon>
);

export const BellIcon = () => (
  <Icon>
    <path d="M8 1.8a4 4 0 0 0-4 4c0 4-1.5 5-1.5 5.7h11c0-.7-1.5-1.7-1.5-5.7a4 4 0 0 0-4-4zM6.5 13.8h3" />
  </Icon>
);

export const PersonIcon = () => (
  <Icon>
    <circle cx="8" cy="5.2" r="2.9" />
    <path d="M2.5 14c.5-3 2.7-4.5 5.5-4.5s5 1.5 5.5 4.5" />
  </Icon>
);

export const PulseIcon = () => (
  <Icon>
    <path d="M1.5 8.5h3l2-5.5 3 10 2-4.5h3" />
  </Icon>
);

export const SunIcon = () => (
  <Icon>
    <circle cx="8" cy="8" r="2.8" />
    <path d="M8 1.5v1.6M8 12.9v1.6M1.5 8h1.6M12.9 8h1.6M3.4 3.4l1.1 1.1M11.5 11.5l1.1 1.1M3.4 12.6l1.1-1.1M11.5 4.5l1.1-1.1" />
  </Icon>
);

export const MoonIcon = () => (
  <Icon>
    <path d="M13.5 9.6A5.8 5.8 0 0 1 6.4 2.5a5.8 5.8 0 1 0 7.1 7.1z" />
  </Icon>
);

export const AutoIcon = () => (
  <Icon>
    <circle cx="8" cy="8" r="5.8" />
    <path class="icon-filled" d="M8 2.2a5.8 5.8 0 0 1 0 11.6z" />
  </Icon>
);

export const AgainIcon = () => (
  <Icon>
    <path d="M13.2 8A5.2 5.2 0 1 1 11.6 4.3M13.2 1.8v3.2H10" />
  </Icon>
);
