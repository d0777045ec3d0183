"""HTML of a report: the page, tables and cards. Every text is escaped here."""

from collections.abc import Iterable, Sequence
from html import escape

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light; }}
* {{ box-sizing: border-box; }}
body {{ font: 14px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; color: #20262d; background: #fff;
  margin: 0 auto; max-width: 1180px; padding: 1rem 1.2rem 4rem; }}
h1 {{ font-size: 1.5rem; margin: .4rem 0; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.15rem; margin: 2.2rem 0 .6rem; border-bottom: 2px solid #e4e7ea; padding-bottom: .2rem; }}
h3 {{ font-size: 1rem; margin: 1.4rem 0 .4rem; }}
p, li {{ max-width: 78ch; overflow-wrap: anywhere; }}
.lead {{ font-size: 1.08rem; border-left: 4px solid #2b59c3; padding: .3rem .8rem; background: #f4f7fd; }}
.cards {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(118px, 1fr)); gap: .5rem; margin: 1rem 0; }}
.cards div {{ border: 1px solid #e4e7ea; border-radius: 6px; padding: .45rem .6rem; }}
.cards small {{ display: block; color: #5c6773; }}
.cards b {{ font-size: 1.15rem; font-variant-numeric: tabular-nums; }}
.columns {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); gap: 0 1.6rem; }}
.columns > * {{ min-width: 0; }}
.scroll {{ overflow-x: auto; -webkit-overflow-scrolling: touch; margin: .3rem 0 1rem; }}
.tall {{ max-height: 70vh; overflow-y: auto; border: 1px solid #e4e7ea; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }}
th, td {{ padding: .18rem .55rem; text-align: right; border-bottom: 1px solid #eef0f2; white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; }}
table.terms th, table.terms td {{ text-align: left; white-space: normal; }}
thead th {{ color: #5c6773; font-weight: 600; background: #f7f8fa; position: sticky; top: 0; }}
table.sortable thead th {{ cursor: pointer; }}
th[aria-sort=ascending]::after {{ content: " ▲"; }} th[aria-sort=descending]::after {{ content: " ▼"; }}
figure {{ margin: .8rem 0 1.9rem; }}
figcaption {{ font-weight: 600; margin-bottom: .3rem; }}
figcaption small {{ font-weight: 400; color: #5c6773; }}
figcaption em {{ font-style: normal; }}
.plot {{ position: relative; margin-left: 3.6rem; }}
.plot svg {{ width: 100%; height: 100%; display: block; overflow: hidden; }}
.plot i {{ position: absolute; font: 11px/1 system-ui, sans-serif; color: #5c6773; white-space: nowrap; }}
.plot i.y {{ right: calc(100% + .35rem); transform: translateY(-50%); }}
.plot i.x {{ top: calc(100% + .3rem); transform: translateX(-50%); }}
pre {{ background: #f7f8fa; border: 1px solid #e4e7ea; border-radius: 6px; padding: .7rem;
  overflow-x: auto; font-size: 12.5px; }}
code {{ overflow-wrap: anywhere; }}
details {{ margin: .8rem 0; }} summary {{ cursor: pointer; font-weight: 600; }}
.up {{ color: #12694f; }} .down {{ color: #a83c26; }}
@media (max-width: 600px) {{
  body {{ padding: .6rem .7rem 3rem; }}
  .plot {{ margin-left: 2.9rem; }} .plot i {{ font-size: 10px; }}
  .plot i.rare {{ display: none; }}
  .cards {{ grid-template-columns: repeat(auto-fill, minmax(96px, 1fr)); }}
}}
@media print {{ .tall {{ max-height: none; overflow: visible; }} details > * {{ display: block; }} }}
</style>
</head>
<body>
{body}
<script>
document.querySelectorAll("table.sortable").forEach(function (table) {{
  table.querySelectorAll("thead th").forEach(function (head, column) {{
    head.addEventListener("click", function () {{
      var up = head.getAttribute("aria-sort") === "descending", body = table.tBodies[0], rows = Array.from(body.rows);
      var value = function (row) {{
        var text = row.cells[column].textContent, number = parseFloat(text.replace(/[,%]/g, ""));
        return /^[-+]?[\\d,.]+ ?%?$/.test(text) ? number : text;
      }};
      rows.sort(function (a, b) {{
        var x = value(a), y = value(b);
        var order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
        return up ? order : -order;
      }});
      table.querySelectorAll("th").forEach(function (other) {{ other.removeAttribute("aria-sort"); }});
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      rows.forEach(function (row) {{ body.appendChild(row); }});
    }});
  }});
}});
</script>
</body>
</html>
"""


def page(title: str, parts: Iterable[str]) -> str:
    """Return a self-contained page of ``parts`` (HTML); ``title`` is text."""
    return _PAGE.format(title=escape(title), body="\n".join(parts))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, sortable: bool = False, tall: bool = False) -> str:
    """Return a table of texts; the first column is aligned left."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    kind = ' class="sortable"' if sortable else ""
    return (
        f'<div class="scroll{" tall" if tall else ""}"><table{kind}><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(text: str) -> str:
    kind = ' class="up"' if text.startswith("+") else ' class="down"' if text.startswith("-") and len(text) > 1 else ""
    return f"<td{kind}>{escape(text)}</td>"


def heat_table(columns: Sequence[str], rows: Iterable[tuple[str, Sequence[float | None]]], strongest: float) -> str:
    """Return a table of shares in percent, blue above zero and red below, as strong as ``strongest``."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        f"<tr><td>{escape(label)}</td>" + "".join(_heat_cell(value, strongest) for value in values) + "</tr>"
        for label, values in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _heat_cell(value: float | None, strongest: float) -> str:
    if value is None or value != value:
        return "<td></td>"
    strength = min(abs(value) / strongest, 1.0) * 0.55 if strongest else 0.0
    color = "43,89,195" if value > 0 else "200,85,61"
    return f'<td style="background:rgba({color},{strength:.2f})">{100 * value:.1f}</td>'


def cards(pairs: Iterable[tuple[str, str]]) -> str:
    """Return headline figures: label and text."""
    inner = "".join(f"<div><small>{escape(label)}</small><b>{escape(text)}</b></div>" for label, text in pairs)
    return f'<div class="cards">{inner}</div>'


def columns(*parts: str) -> str:
    """Return parts next to each other where the page is wide enough."""
    return f'<div class="columns">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def heading(text: str, level: int = 2) -> str:
    """Return a heading."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph; ``kind`` is its class."""
    return f"<p{f' class={kind!r}' if kind else ''}>{escape(text)}</p>"


def code(text: str) -> str:
    """Return preformatted text."""
    return f"<pre><code>{escape(text)}</code></pre>"


def details(summary: str, inner: str, *, opened: bool = False) -> str:
    """Return ``inner`` (HTML) under a line that opens and closes it."""
    return f"<details{' open' if opened else ''}><summary>{escape(summary)}</summary>{inner}</details>"
