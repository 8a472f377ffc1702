"""Grammars of things to wear, play with and care for: people, children and animals. Built like `synth_goods`."""

from synth.grammars.goods import goods

TOYS = goods(
    "toys",
    """
noun: wooden train | jigsaw puzzle | plush bear | marble run | kite | dollhouse | board game | spinning top
    card game | robot kit | puppet theatre | rocking horse | building block set | yo-yo | chemistry set | play tent
    stacking ring | toy piano | tea set | dinosaur figure | finger paint set | balance bike | magic wand
    model glider | memory game | sandpit digger | shape sorter
material: beech wood | organic cotton | washable felt | sturdy cardboard | soft vinyl | mohair | tin plate | foam
    birch plywood
feature: {dozen} moving parts | a crank that plays music | glow-in-the-dark stars | {tens} pieces | a secret drawer
    squeaky buttons | real rubber wheels | chunky knobs | a fold-out map | magnetic couplings | {few} ways to win
    rounded edges | a wind-up motor
who: toddlers | curious six-year-olds | grandparents | kindergartens | young engineers | rainy Sundays
    patient collectors | twins
use: learning colours | counting to {dozen} | telling stories | racing down the hall | building bridges
    quiet time in the car | hosting pirate parties | sorting shapes | practising patience | outwitting cousins
    dressing up | exploring gravity
details+: For ages {years} and up; {few} players or more.
    A round lasts {dozen} minutes, unless {person} cheats.
    Warning: small parts. Not for children under {few}.
    Paints are water based and survive being chewed.
    Collect all {dozen} characters from {Place} Island.
    It won the {season} toy fair ribbon in {place}.
""",
)

CLOTHES = goods(
    "clothes",
    """
noun: cardigan | raincoat | ankle boot | silk scarf | denim jacket | pyjama set | sun hat | running vest | wool sock
    evening gown | leather belt | polo shirt | pleated skirt | parka | sandal | baseball cap | linen shirt | swimsuit
    tie | glove | waistcoat | hiking trouser | hooded sweatshirt | bridesmaid dress | work apron | loafer | backpack
    beanie | kimono robe | tote bag
material: merino wool | ring-spun cotton | waxed cotton | Harris tweed | stretch denim | silk twill | fleece | linen
    suede | corduroy
feature: reinforced elbows | a two-way zip | mother-of-pearl buttons | hidden pockets | a scalloped hem | flat seams
    taped seams | an adjustable waist | a quilted lining | thumb holes | a ribbed collar | reflective piping
    contrast stitching | a deep hood
who: cyclists | tall men | festival goers | expectant mothers | hikers | brides | office workers | dancers
    night fishermen
use: walking coast paths | layering in {month} | garden weddings | long flights | job interviews | dancing until two
    school runs | sailing in drizzle | city weekends | lounging on Sundays | cold mornings at the market
    packing light
details+: Sizes XS to XXL; the model is {few} cm shorter than she looks and wears M.
    {percent} % {material}, {years} % elastane. Machine wash at {tens} °C.
    Inside leg {inch}'', chest {inch}'', sleeves cut generously.
    Knitted in {place} on machines from {since}.
    Heel height {few} inches; sole stitched, never glued.
    Do not tumble dry. Cool iron on the reverse.
""",
)

JEWELLERY = goods(
    "jewellery",
    """
noun: pendant | signet ring | charm bracelet | wristwatch | pearl earring | brooch | cufflink | anklet | locket
    tiara | chain | engagement ring | bangle | pocket watch | choker | nose stud | hair comb | keyring | tie pin
    toe ring | ear cuff
material: sterling silver | rose gold | amber | freshwater pearl | titanium | moonstone | garnet | white gold
    sea glass | onyx
feature: a lobster clasp | a hand-cut stone | {dozen} tiny facets | a hinged back | an engraved date
    a sapphire crystal | filigree edges | a moving second hand | a matte finish | a box hinge | a {years} mm bead
    an adjustable shank | a safety chain
who: brides | godmothers | sailors | collectors | graduates | divers | people with sensitive skin | romantics
    anniversary planners
use: proposing at sunset | formal dinners | everyday wear | marking a birth | dressing up a plain collar
    saying sorry | layering | dancing at weddings | remembering {place} | finishing a black dress
    diving to {tens} metres
details+: Stone {few}.{years} carats, colour G, clarity VS{few}.
    Chain length {inch} inches; ring sizes {years} to {dozen}.
    Water resistant to {tens} metres, with {percent} hours of power reserve.
    Hallmarked in {place} and numbered by hand.
    Nickel-free posts; butterflies included.
    Comes in a velvet case signed by {person}.
""",
)

HEALTH = goods(
    "health and beauty",
    """
noun: hand cream | shampoo bar | vitamin capsule | shaving brush | lip balm | face mask | bath salt | hair dryer
    nail file | lotion | electric toothbrush | perfume | heating pad | blood pressure monitor | fish oil capsule
    sunscreen | eyeliner | razor | soap dish | massage roller | foot spa | beard oil | protein powder | herbal tea
    cotton swab | curling iron | knee brace | reading glass
material: shea butter | glycerin | beeswax | oat extract | sea kelp | medical-grade steel | rosehip oil | zinc oxide
    green clay
feature: a scent of bergamot | a pump top | {dozen} active herbs | no added fragrance | a {few}-week supply
    a soft bristle head | a leak-proof cap | SPF {tens} | {percent} mg of magnesium | a memory for {tens} readings
    gentle acids | a timer | cooling menthol
who: swimmers | nurses | men with beards | new mothers | runners | allergy sufferers | frequent travellers
    dry, reddened skin
use: soothing cracked heels | shaving against the grain | washing daily | winding down at night | calming sunburn
    taming curls | easing stiff shoulders | sleeping better | cleaning between teeth | removing make-up
    balancing oily skin | long hospital shifts
details+: Contains {percent} ml; use within {dozen} months of opening.
    Serving size {few} capsules; {tens} servings per bottle.
    Ingredients: aqua, {material}, {other_material}, citric acid, {place} lavender.
    Never tested on animals, only on {person} and {few} volunteers.
    These statements have not been evaluated by any authority. Ask your doctor before use.
    In a {years}-week trial {percent} % of users reported softer skin.
""",
)

PETS = goods(
    "pets",
    """
noun: dog bed | cat tree | aquarium filter | bird cage | leash | chew bone | litter box | hamster wheel | flea comb
    pet carrier | fish food | catnip mouse | horse blanket | dog jacket | feeding bowl | rabbit hutch
    training clicker | reptile lamp | collar | scratching post | puppy pad | poultry drinker | grooming glove
    agility tunnel | parrot perch | water fountain | squeaky duck
material: sisal rope | ripstop nylon | natural latex | memory foam | stainless wire | pine | ceramic | buffalo hide
    corduroy | felt
feature: chew-proof seams | a washable cover | a bell inside | slow-feed ridges | a reflective stripe
    a charcoal filter | a wide door | non-tip feet | {few} levels | a catnip pocket | a breakaway buckle | real salmon
    a quiet pump | a thermostat
who: terriers | elderly cats | nervous puppies | budgies | goldfish | giant breeds | apartment rabbits | show ponies
    stray kittens
use: crate training | winter walks | brushing out undercoat | car journeys to the vet | keeping ponds clear
    rewarding good manners | long naps | teething | feeding {few} cats at once | hiding treats | chasing shadows
    drying off after the lake
details+: For animals up to {tens} lbs; measure neck and girth first.
    Crude protein {dozen} %, fat {few} percent, moisture {years} %.
    Filters {tens} gallons an hour at {years} watts.
    Approved by a {place} greyhound called {first}.
    Vet {person} recommends {few} short sessions a day.
    Bars are spaced {fraction}'' apart, safe for finches.
""",
)

SPORTS = goods(
    "sports",
    """
noun: yoga mat | tennis racket | camping stove | sleeping bag | fishing reel | bike helmet | dumbbell | climbing rope
    ski goggle | kayak paddle | soccer ball | water bottle | boxing glove | compass | golf putter | jump rope
    hiking pole | dartboard | tent | basketball net | surf leash | archery target | snorkel | skateboard
    hockey stick | headlamp | bike pump | swim cap | pull-up bar
material: carbon fibre | ripstop nylon | natural rubber | aircraft aluminium | ash wood | goose down | neoprene
    maple ply | polyester
feature: a {years}-speed drag | a locking carabiner | sweat-proof straps | {few} aluminium poles | a bite valve
    {dozen} air vents | an anti-fog coat | cork handles | a compression sack | a micro-adjust dial | welded seams
    glow markings | a {inch}-foot lead
who: anglers | goalkeepers | trail runners | scouts | masters swimmers | physiotherapists | mountain guides
    club players | beginners
use: bivouacking above the tree line | casting for pike | sprint intervals | morning stretches | crossing glaciers
    serving aces | bikepacking | open water swimming | landing ollies | winter training | teaching juniors
    paddling {tens} miles
details+: Comfort rating {years} °C; packs to {dimensions}.
    String tension {tens} lbs, head size {percent} square inches.
    Line capacity {tens} yards of {dozen} lb test.
    Used by {person} to finish the {place} marathon in {since}-style canvas shoes.
    Certified to standard EN {percent}; inflate to {tens} psi.
    Floor space needed: {dimensions}.
""",
)
