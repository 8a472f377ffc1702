"""Grammars of things for house, workshop and garden, and what is common to all goods.

A product is told apart by its model number: `{mark}` is a code. Each kind brings its nouns, materials, features,
uses and buyers; the common sentences speak of those.
"""

from synth.grammars.words import SHARED
from synth.text import Kind, parse_grammar

_GOODS = parse_grammar(
    """
fixed: brand | noun | colour | material | weight | dimensions | since | place | years | who
bonus: a spare set of screws | a cotton pouch | printed instructions | a gift box | a cleaning brush | a wall bracket
    two adhesive hooks | a drawstring bag | a replacement strap | a travel case | an adapter | a care card | silica gel
    a small key | a colour chart | a storage tin | a repair kit | stickers for labelling | a protective sleeve
trouble: loose handles | flimsy hinges | tangled cords | cold fingers | rust | squeaks | fading | guesswork
    wasted space
    cracked corners | endless assembly | slippery grips | battery worries | dents | odd smells | peeling paint
    wobbling
adj: sturdy | compact | lightweight | handsome | foldable | no-nonsense | elegant | clever | heavy-duty | simple
    reliable
    old-fashioned | slim | oversized | thoughtful | cheerful | professional | pocket-sized | quiet | rugged | washable
titles: {mark} {noun} | {brand} {mark} | {noun} {mark} | {brand} {mark} {noun}, {colour}
    {brand} {adj} {noun} {mark} | {brand} {noun}, {dimensions} | {noun} {mark} by {brand}
    {brand} {mark} {dimensions} {material} {noun} | {brand} {colour} {material} {noun}
    {brand} {adj} {noun} with {feature} | {brand} {colour} {noun} ({mark})
    {inch}'' {noun}, {material}, {colour} ({brand}) | {brand} {adj} {noun} for {who}
    {brand} {adj} {material} {noun} | {brand} "{place}" {noun}, {colour} | {brand} {colour} {noun} for {use}
    {brand} {mark}: {noun} with {feature} | {mark} {adj} {noun} | {brand} {noun} & {other_noun} Set, {mark}
    {brand} {years}-Piece {colour} {noun} Kit
extras: , {colour} | , {material} | , {dimensions} |  ({years}-Pack) | , Pack of {few} |  with {feature} |  with {bonus}
     - {weight}
    , {adj} | , for {who} |  (Model {mark}) | , {inch}-Inch |  for {use} | , {colour} & {other_colour}
     - Made in {place} |  [{since} Series]
    , {tens}-Count | , {years} Year Warranty |  (Refurbished) | , {few}-Piece Set | , {place} Collection
     - {colour}/{other_colour}
briefs: {noun}, {colour}. Model {mark}. | {mark} {noun} with {feature}. | {brand} part {mark}, {material}.
    {mark}: {feature}.
    {adj} {noun} ({mark}). | For {use}: {mark}. | {mark}, {colour}, {weight}. | {brand} {mark}. {dimensions}.
leads: The {brand} {mark} is a {adj} {noun} in {material}, made for {who}.
    {Use} goes faster with {mark}, a {adj} {noun} that has {feature}.
    {Who} kept asking {brand} for a better {noun}. Their answer is called {mark}.
    Built from {material} and finished in {colour}, {noun} {mark} weighs just {weight}.
    With {feature}, model {mark} leaves every other {noun} behind.
    No more {trouble}: {mark} brings {feature} to {use}.
    {Colour} {material}, {dimensions}, {feature}. Model {mark}.
    Since {since} {brand} of {place} has made {noun}s; {mark} is among the best.
    {mark}: {adj}, {adj}, {colour}. Includes {bonus}.
    Order no. {mark}. One {noun}, {weight}, suits {who}.
    Replacing our old {noun}, the new {mark} adds {feature} and forgets {trouble}.
    In the box: {noun} ({mark}), {bonus}, {bonus}.
    For {use}, choose {mark}. {Material} outside, {feature} inside.
    Tired of {trouble}? {brand} designed {mark} around {feature}.
    Whether your hobby is {use} or {use}, {mark} will cope.
    {mark} combines {feature} with {material}. Measures {dimensions}.
    {person} drew this {colour} {noun} for {brand} in {place}. Catalogue number {mark}.
    A {noun} for people who dislike {trouble}; ask for {mark}.
details: It measures {dimensions} and weighs {weight}.
    Thanks to {feature}, {use} no longer means {trouble}.
    {Material} keeps its shape after {tens} washes, drops or winters.
    Also sold in {other_colour} and {other_colour}.
    Every {noun} leaves the workshop in {place} with {bonus}.
    {brand} guarantees all parts for {years} years.
    Assembly takes {dozen} minutes and needs only a screwdriver.
    {Who} will notice {feature} first.
    "I bought {few} and gave one to my neighbour," writes {person} from {place}.
    Ideal for {use}, {use} or simply as a present in {month}.
    Rated for {temperature}; store away from direct sun.
    Tested {tens},000 times on a machine built by {person}.
    When not in use it folds to {dimensions}.
    Unlike a common {noun}, the {brand}® one offers {feature}.
    {adj}, yes, but never dull: the {colour} finish comes from {place}.
    Packed in recycled card together with {bonus}.
    Spare parts stay available for {years} years.
    Choose {inch}'' or {inch}'' depending on the room.
    Made of {percent} % recycled {other_material}, down to the stitching and screws.
    The_{newspaper}_tried {dozen} models and called ours {praise}.
    Please allow {few} weeks for delivery to {place}.
    Warm, dry, out of the box... a {years}-year-old can handle it; so can a grandmother with stiff hands.
    © {since} {brand}®. Colours may differ from the photograph.
    Weighing {weight}, it fits any backpack, drawer or glove box.
    Holds up to {tens} lbs without {trouble}.
    {Feature} and {bonus} come as standard.
    The idea came to {person}, a {place} engineer, while {use}.
    Wipe with a damp cloth. Do not soak {material}.
    Wholesale buyers in {place} reorder it each {season}.
    Comes with {bonus}, {bonus} and a spare.
shorts: {Material}. | {dimensions}. | {Colour}. | {Weight}. | Set of {few}. | With {bonus}. | {years}-year warranty.
    For {who}.
    Made in {place}. | Pack of {years}. | Batteries not included. | Ships flat. | {Adj}. | {adj}, {adj}. | No {trouble}.
    {Use} made easy. | Imported. | Since {since}. | Color: {colour}. | Handmade. | Gift wrap available.
    Item weight {weight}.
    Patent pending. | {Praise}! | {percent} % {material}. | {Feature}. | Limited stock.
""",
    base=SHARED,
)


def goods(name: str, grammar: str) -> Kind:
    """A kind of goods: the common grammar with the pools of `grammar`."""
    return Kind(name, parse_grammar(grammar, base=_GOODS), mark="code")


KITCHEN = goods(
    "kitchen",
    """
noun: frying pan | saucepan | bread tin | teapot | colander | whisk | chef's knife | pepper mill | salad spinner
    kettle | ladle | cake stand | cutting board | mortar and pestle | coffee grinder | rolling pin | egg timer
    casserole | measuring jug | grater | pizza stone | lunch box | butter dish | corkscrew | toaster | blender
    cookie cutter | ice cream scoop | wok | spice rack
material: stainless steel | cast iron | enamel | borosilicate glass | olive wood | bamboo | silicone | stoneware
    porcelain | copper
feature: a lid that seals | a drip-free spout | measuring marks on the inside | a handle that stays cool
    a double wall | a ridged base | rounded corners | two pouring lips | a hanging loop | a removable blade
    a magnetic rim | a steam vent
who: home bakers | busy parents | students | camp cooks | restaurant kitchens | tea lovers | small households
    jam makers
use: slicing tomatoes paper thin | proving dough overnight | simmering stock | frying trout
    brewing for {dozen} guests | whipping cream | crushing garlic | steaming rice | baking rye loaves
    serving soup at the table | packing lunches
details+: It holds {years} cups, enough for a family of {few}.
    Safe on gas, induction and ceramic hobs, and in ovens up to {temperature}.
    Top rack of the dishwasher; no {trouble} after {tens} cycles.
    A recipe for {place} dumplings is printed inside the lid.
    The blade, hardened to {percent} Rockwell, needs sharpening once a {season}.
    Free of lead, nickel and bad temper, says {person}, who bakes {tens} loaves a day with it.
""",
)

TOOLS = goods(
    "tools",
    """
noun: cordless drill | claw hammer | socket set | spirit level | hacksaw | chisel | torque wrench | sander | workbench
    clamp | vise | tape measure | soldering iron | utility knife | tool chest | hand plane | jigsaw blade | pry bar
    caulk gun | stud finder | extension ladder | grinding wheel | nail gun | pipe cutter | hex key set | rivet tool
    paint sprayer | drill press | mallet
material: drop-forged steel | chrome vanadium | hickory | anodised aluminium | tungsten carbide | tempered steel
    glass fibre | brass
feature: a {years}-volt motor | a belt clip | a magnetic tip | laser-etched marks | a cushioned grip
    a quick-release jaw | variable speed | a reversible ratchet | an LED work light | depth stops | a locking trigger
    replaceable {fraction}'' bits
who: cabinet makers | electricians | weekend plumbers | roofers | boat builders | landlords | apprentices
    stage crews | farmers
use: hanging doors | cutting dovetails | drilling masonry | laying decking | fixing gutters | trimming laminate
    framing sheds | loosening seized bolts | fitting skirting boards | restoring chairs | running cable
    sharpening mower blades
details+: Maximum torque is {percent} Nm at {dozen}00 rpm.
    Chuck capacity {fraction}''; no-load speed 0-{dozen}00 rpm.
    The jaws open to {inch}'' and close dead square.
    Meets workshop standard {tens}-{dozen} for insulated handles.
    Blades with {dozen} teeth per inch are available separately.
    Its charger fills the {years} Ah battery within {tens} minutes.
""",
)

ELECTRONICS = goods(
    "electronics",
    """
noun: headphone | portable radio | USB hub | laptop charger | webcam | bookshelf speaker | memory card
    wireless mouse | keyboard | e-reader cover | phone case | HDMI cable | router | camera tripod | lens filter
    power bank | alarm clock | projector | scanner | car charger | graphics tablet | surge protector | microphone
    baby monitor | tablet stand | media player | antenna | dash camera
material: brushed aluminium | matte plastic | polycarbonate | braided nylon | soft-touch rubber | carbon fibre
    tempered glass
feature: noise cancelling | a {dozen}-hour battery | gold-plated contacts | Bluetooth {few} | a detachable cable
    one-touch pairing | a {inch}-foot cord | volume keys | a status light | fast charging | a {percent} dB signal
    automatic shut-off | a swivel clip
who: commuters | podcasters | gamers | frequent flyers | students | night owls | photographers | home offices | choirs
use: streaming films | editing photographs | calling relatives abroad | recording rehearsals | charging {few} phones
    listening on trains | backing up files | video meetings | gaming late at night | reading in bed | mapping a hike
details+: Sampling rate {percent} kHz, impedance {dozen} ohms, sensitivity {tens} dB.
    Works with systems from {since} firmware onwards; drivers install by themselves.
    Transfers {tens} photographs in {few} seconds.
    Input 100-240 V, output {years} V at {few} amps.
    Range: about {tens} feet through {few} brick walls.
    Compatible with the {brand} T{dozen}s, V{years} and older M-series (check your label).
""",
)

GARDEN = goods(
    "garden",
    """
noun: watering can | bird feeder | wheelbarrow | pruning saw | hose reel | plant stand | compost bin | rain gauge
    garden bench | trellis | bulb planter | secateurs case | lawn rake | cold frame | solar lantern | hanging basket
    leaf blower | wind chime | potting table | fire pit | weather vane | greenhouse heater | sundial | bee hotel
    hammock | seed tray | parasol | grass seed mix
material: galvanised zinc | cedar | terracotta | wrought iron | recycled plastic | teak | canvas | slate
    powder-coated steel | cork
feature: a brass rose | drainage holes | a rot-proof liner | pneumatic tyres | squirrel-proof ports
    a telescopic pole | frost plugs | a removable tray | self-watering wicks | rust-free bolts
    a {years}-position head | a dusk sensor | soft kneeling pads
who: allotment holders | balcony gardeners | rose growers | bird lovers | landscapers | schools | beginners
    orchid collectors
use: sowing carrots | feeding finches | training clematis | turning compost | mulching beds | overwintering dahlias
    edging lawns | raking moss | storing bulbs | watering at dusk | dividing irises | entertaining outdoors
    drying herbs | pruning apple trees
details+: Holds {years} gallons when full; empty it before frost.
    Covers {tens} square feet and lasts {few} seasons.
    Blooms from {month} to {month} in zones {few} to {years}.
    Anchor with {few} pegs on windy sites.
    Robins and {few} kinds of tit found it within {dozen} days in our trial garden near {place}.
    Height {tall} feet; plant roots {inch} inches apart.
""",
)

OFFICE = goods(
    "office",
    """
noun: fountain pen | desk lamp | ring binder | stapler | whiteboard | notebook | letter opener | filing cabinet
    desk calendar | paper shredder | drawing board | pencil case | ink cartridge | label maker | globe | bookend
    guillotine | rubber stamp set | swivel chair | document tray | sketch pad | calculator | sticky note cube
    briefcase | map case | laminator | hole punch
material: saddle leather | acrylic | walnut veneer | recycled paper | steel mesh | linen board | bonded leather
    beech | ABS
feature: a jam-free feed | {tens} ruled sheets | an iridium nib | a weighted foot | colour-coded tabs | a hidden lock
    dimmer keys | a tilting top | quick-dry ink | lumbar support | perforated edges | a {years}-digit display
    a non-skid base | cable slots
who: architects | teachers | accountants | left-handed writers | novelists | small firms | librarians | exam takers
    cartoonists
use: signing contracts | sorting receipts | planning a semester | sketching on trains | labelling jars
    revising vocabulary | writing thank-you notes | archiving slides | drafting floor plans | keeping minutes
    grading essays | wrapping parcels
details+: Takes up to {dozen} sheets of {tens} g paper.
    Pages: {percent}, acid-free, {tens} lb stock.
    The nib comes in fine, medium and italic; cartridges in {years} inks.
    A full charge lasts {tens} hours at {percent} % brightness.
    Fits A4, letter and legal formats.
    Refill with type {few}-{dozen} only.
""",
)

CAR = goods(
    "car",
    """
noun: brake pad set | wiper blade | roof rack | floor mat | air filter | seat cover | tow strap | jump starter
    oil filter | fog lamp | steering wheel cover | cargo net | tyre gauge | bicycle carrier | spark plug
    trailer hitch | headlight bulb | car jack | sunshade | exhaust gasket | radiator cap | mud flap
    licence plate frame | motorcycle glove | trickle charger | mirror glass | wheel cap
material: ceramic compound | natural rubber | stamped steel | neoprene | die-cast alloy | polyurethane | chrome
    velour | nylon mesh
feature: a direct bolt-on fit | pre-drilled holes | a wear indicator | reflective seams | a spring-loaded hook
    sealed bearings | a {years}-amp fuse | a click-fit adapter | anti-skid ribs | double-locked stitching
    an overload cut-out | colour-matched edges
who: vintage car owners | caravanners | taxi drivers | mechanics | dog owners | rally crews | winter commuters
    van lifers
use: towing boats | stopping on wet hills | hauling bicycles | cold starts | long motorway runs | carrying muddy dogs
    track days | replacing worn parts | city parking | desert driving | keeping salt off carpets | crossing the Alps
details+: Fits {brand} saloons {since} to 2012 with the {years}-valve engine.
    Tightening torque {tens} Nm; replace every {tens},000 miles.
    Supplied in pairs for front axle left and right.
    Conforms to regulation R{percent}; stamped and numbered.
    Compare with part {dozen}-{percent}-{tens} before ordering.
    Installation video by {person}, garage owner in {place}.
""",
)
