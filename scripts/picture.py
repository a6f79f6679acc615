"""A screen, as `tmux capture-pane -e -p` prints it, as an SVG picture on standard output."""

import html
import re
import sys
import unicodedata

COLUMNS, ROWS = int(sys.argv[1]), int(sys.argv[2])
WIDTH, HEIGHT, MARGIN = 8.4, 18, 12
PAPER, INK = "#1b1e24", "#d6d9de"
COLORS = {
    31: "#f0716b", 32: "#7ec97b", 33: "#e3c15f", 34: "#79a8f0", 35: "#cf8ee0", 36: "#62c7cc",
}


def cells(line):
    """The characters of a line with colour, bold, dim and reverse."""
    color, bold, dim, reverse = None, False, False, False
    for escape, char in re.findall(r"\x1b\[([0-9;]*)m|([^\x1b])", line):
        if char:
            yield char, (color, bold, dim, reverse)
            continue
        for code in [int(code or 0) for code in escape.split(";")]:
            if code == 0:
                color, bold, dim, reverse = None, False, False, False
            elif code == 1:
                bold = True
            elif code == 2:
                dim = True
            elif code == 22:
                bold = dim = False
            elif code in (7, 27):
                reverse = code == 7
            elif code in COLORS:
                color = COLORS[code]
            elif code == 39:
                color = None


def runs(line):
    """Neighbours of one look: column, columns, text, look."""
    column, last = 0, None
    for char, look in cells(line):
        wide = 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if last and last[3] == look:
            last[1] += wide
            last[2] += char
        else:
            if last:
                yield last
            last = [column, wide, char, look]
        column += wide
    if last:
        yield last


def main():
    width, height = COLUMNS * WIDTH + 2 * MARGIN, ROWS * HEIGHT + 2 * MARGIN
    print(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
        f'viewBox="0 0 {width:.0f} {height}" font-family="ui-monospace, Menlo, Consolas, '
        f'DejaVu Sans Mono, monospace" font-size="14" xml:space="preserve" '
        f'style="white-space: pre">'
    )
    print(f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>')
    for row, line in enumerate(sys.stdin.read().split("\n")[:ROWS]):
        top = MARGIN + row * HEIGHT
        for column, columns, text, (color, bold, dim, reverse) in runs(line):
            left, long = MARGIN + column * WIDTH, columns * WIDTH
            ink = color or INK
            if reverse:
                print(
                    f'<rect x="{left:.1f}" y="{top}" width="{long:.1f}" height="{HEIGHT}" '
                    f'fill="{ink}"/>'
                )
                ink = PAPER
            if not text.strip():
                continue
            look = ' font-weight="bold"' if bold else ""
            look += ' opacity="0.6"' if dim else ""
            print(
                f'<text x="{left:.1f}" y="{top + 13.5}" fill="{ink}"{look} '
                f'textLength="{long:.1f}">{html.escape(text)}</text>'
            )
    print("</svg>")


main()
