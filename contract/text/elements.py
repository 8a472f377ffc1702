"""The elements of HTML, by what a browser shows of them. Data, for contract/text/markup.py."""

from typing import Final

# What stands on either side is one word: text that is styled, and elements that show nothing.
_INLINE: Final = """
a abbr acronym b bdi bdo big blink cite code data del dfn em font i ins kbd label mark nobr output picture q ruby s
samp slot small span strike strong sub sup time tt u var wbr
area base basefont bgsound link map meta noembed noframes noscript param script source style template title track
head
math mfrac mi mn mo mrow mspace msqrt mstyle msub msubsup msup mtext
"""

# What stands on either side is apart: blocks, cells, rows, and boxes such as pictures and buttons.
_APART: Final = """
address article aside blockquote body br caption center col colgroup dd details dialog dir div dl dt fieldset
figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 header hgroup hr html legend li listing main marquee
menu menuitem multicol nav ol optgroup option p plaintext pre rb rp rt rtc search section spacer summary table tbody
td textarea tfoot th thead tr ul xmp
applet audio button canvas datalist embed iframe image img input isindex keygen meter object progress select svg
video
"""

INLINE: Final = frozenset(_INLINE.split())
APART: Final = frozenset(_APART.split())

# Text between the two tags is not shown, nor read as HTML. Without a closing tag, that is all text that follows.
HIDDEN_TEXT: Final = ("script", "style", "title", "iframe", "noembed", "noframes", "noscript")

# What stands between the two tags is not shown, if there are two.
HIDDEN: Final = ("head", "template", "audio", "canvas", "svg", "video")
