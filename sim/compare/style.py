"""The page's style: light and dark, phone and print. Colours come from `look`; nothing is fetched."""

from typing import Final

from sim.compare.look import DARK, NAMES


def _variables(*, dark: bool) -> str:
    return " ".join(
        f"--{name}: {DARK[colour] if dark else colour};" for colour, name in NAMES.items()
    )


_RULES: Final = """
* { box-sizing: border-box; }
html { color-scheme: light dark; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main, header, footer { max-width: 68rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2.25rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: .5rem 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 3rem 0 .5rem; }
p { margin: .5rem 0; max-width: 46rem; }
a { color: inherit; }
small, .note, figcaption, caption, footer { color: var(--muted); font-size: .875rem; line-height: 1.5; }
.badge { display: inline-block; border: 1.5px solid var(--series-1); color: var(--series-1); border-radius: 1rem;
  padding: .1rem .7rem; font-size: .8rem; font-weight: 650; letter-spacing: .02em; margin: 0; }
.verdict { border-left: .3rem solid var(--series-0); padding: .2rem 0 .2rem 1.1rem; margin: 1.6rem 0 1.2rem; }
.verdict.open { border-color: var(--series-1); }
.order { font-size: 1.5rem; font-weight: 680; line-height: 1.3; margin: 0 0 .3rem; letter-spacing: -.01em; }
.order .than { color: var(--muted); font-weight: 400; padding: 0 .2rem; }
.order span { white-space: nowrap; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .9rem; margin: 1.2rem 0; padding: 0; }
.tiles div { border: 1px solid var(--rule); border-radius: .6rem; padding: .7rem .9rem .75rem; }
.tiles dt { color: var(--muted); font-size: .875rem; line-height: 1.35; }
.tiles dd { margin: 0; }
.tiles dd.big { font-size: 1.6rem; font-weight: 680; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tiles dd.by { font-size: .8rem; color: var(--muted); font-variant-numeric: tabular-nums; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.8rem 2.2rem; margin: 1.2rem 0; }
figure { margin: 0; }
figure h3 { font-size: 1rem; margin: 0 0 .3rem; }
figure svg { width: 100%; height: auto; display: block; overflow: visible; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
figcaption { margin-top: .35rem; }
.scroll { overflow-x: auto; margin: .8rem 0; }
.scroll:focus-visible { outline: 2px solid var(--series-0); outline-offset: 3px; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; line-height: 1.35; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0 0 .5rem; }
th, td { padding: .42rem .7rem; text-align: right; vertical-align: top; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th:first-child, td:first-child { padding-left: 0; }
thead th { color: var(--muted); font-weight: 600; border-bottom: 1.5px solid var(--muted); vertical-align: bottom; }
th[scope=row], thead th:first-child, .text { text-align: left; }
th[scope=row] { font-weight: 600; position: sticky; left: 0; background: var(--paper); }
caption span { display: block; position: sticky; left: 0; max-width: min(calc(100vw - 2.5rem), 60rem); }
td small { display: block; font-size: .75rem; white-space: nowrap; }
td.sure { font-weight: 650; }
td.sure small, td.sure span { font-weight: 400; }
td span { color: var(--muted); }
th small { display: block; font-size: .75rem; font-weight: 400; }
thead td { border-bottom: 1.5px solid var(--muted); }
td svg { display: block; width: 11rem; height: 1.4rem; margin-left: auto; }
.key { display: inline-block; width: .7rem; height: .7rem; border-radius: 50%; margin-right: .45rem; }
.doubts { border: 1.5px solid var(--series-1); border-radius: .6rem; padding: .6rem 1rem; margin: 1.2rem 0; }
.doubts ul { margin: .3rem 0; padding-left: 1.1rem; }
dl.terms { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.1rem; font-size: .9rem; }
dl.terms dt { font-weight: 600; }
dl.terms dd { margin: 0; max-width: 46rem; }
code, pre { font: .85em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--rule); border-radius: .5rem; padding: .6rem .8rem; color: var(--ink); }
.hash { overflow-wrap: anywhere; }
footer { margin-top: 3.5rem; padding-top: 1rem; padding-bottom: 3rem; }
@media (max-width: 40rem) {
  body { font-size: 15px; }
  main, header, footer { padding-left: 1rem; padding-right: 1rem; }
  h1 { font-size: 1.4rem; }
  .order { font-size: 1.2rem; }
  .tiles { grid-template-columns: 1fr 1fr; gap: .6rem; }
  .tiles dd.big { font-size: 1.3rem; }
  dl.terms { grid-template-columns: 1fr; gap: 0; }
  dl.terms dd { margin-bottom: .6rem; }
}
@media print {
  @page { margin: 14mm 12mm; }
  body { font-size: 10pt; }
  main, header, footer { max-width: none; padding: 0; }
  .plots { grid-template-columns: 1fr 1fr; gap: 1rem 1.4rem; }
  figure, tr, .tiles, .verdict { break-inside: avoid; }
  h2, caption { break-after: avoid; }
  h2 { margin-top: 1.6rem; }
  .scroll { overflow: visible; }
  table { font-size: 7.5pt; }
  th, td { padding: .25rem .35rem; }
  td small { font-size: 6.5pt; }
  td svg { width: 6rem; }
}
"""

STYLE: Final = (
    f":root {{ {_variables(dark=False)} }}\n"
    f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {_variables(dark=True)} }} }}"
    f"{_RULES}"
)
