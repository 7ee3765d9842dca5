"""Prediction files to start from, one for each kind of question, with a comment on every line."""

from shared.config.prediction import TARGET_KINDS

_USERS = """\
# {question}
# Keys: docs/reference/prediction-files.md. Look first: oriel prediction check FILE
name: my_{kind}              # lower case letters, digits and underscores: its name everywhere
target: {{kind: {kind}{more}}}
{eligible}
horizon: 90d                 # how far ahead, in days (d) or weeks (w)
as_of: {{every: 30d, gap: 0d}} # how far apart training instants lie; days left free before each
folds: auto                  # how many instants judge: as many as history carries, or a number
features: [rfm, windows, trends]
model: {{type: mlp}}
"""

_ELIGIBLE = "eligible: orders_ever >= 1   # whom to ask about; others get the base rate"
_EVERYBODY = "# eligible: orders_ever >= 1 # left out: people who never ordered are asked about too"

_QUESTIONS = {
    "churn": "Who will not order within the horizon?",
    "purchase": "Who will order within the horizon, also of those who never have?",
    "value": "What will each customer spend within the horizon, refunds not taken off?",
    "event": "For whom will an event of your own happen within the horizon, and when?",
    "next_order": "When will each customer order next?",
    "segment": "In which value segment will each customer be within the horizon?",
}

_MORE = {
    "churn": ", absent: order",
    "event": ", happens: Product Viewed",
}

_IMAGES = """\
# Of which class is an image?
# Keys: docs/reference/prediction-files.md. Look first: oriel prediction check FILE --data FOLDER
name: my_images
source: {images: my_images}  # a folder below --data with train*.npz or train*.parquet
target:
  kind: image_class
  classes: [first, second]   # names in the order of the labels; leave out to use the labels
model: {type: lenet5}        # or resnet50
augment: {shift: 2, flip: false} # how training images are changed anew in each epoch
training: {epochs: 10, batch_size: 128, learning_rate: 0.002, optimizer: adamw}
"""

_TABLE = """\
# How probable is an answer for a row of a table?
# Keys: docs/reference/prediction-files.md. Look first: oriel prediction explain FILE --data FOLDER
name: my_table
source: {table: my_table}    # a .parquet or .csv file, or a folder of them, below --data
target:
  kind: column
  column: answer             # the column that holds the answer
  positive: "yes"            # the value whose probability is wanted
id: row_id                   # names the row; rows of one name stay in one fold. Leave out if none
exclude:                     # columns that must not be read, each with the reason
  later: known only after the answer
columns: {code: category}    # what a column is where it does not look it: number, flag, category
folds: 5                     # parts of the cross-validation
model: {type: mlp}           # or dcn
"""

_TEXT = """\
# What does the writer of a text think?
# Keys: docs/reference/prediction-files.md. Look first: oriel prediction explain FILE --data FOLDER
name: my_texts
source:
  text: my_texts             # a .parquet or .csv file, or a folder of them, below --data
  columns: [title, body]     # one column of text, or two, the short one first
target:
  kind: sentiment
  column: recommended        # the column that holds the answer
  positive: 1                # the value whose probability is wanted
id: text_id                  # names the row; leave out if none does
folds: 5                     # parts of the cross-validation
model: {type: text_lstm}
"""

_PRODUCTS = """\
# Which products will each customer order within the horizon, and which that are new to them?
# Keys: docs/reference/prediction-files.md. Look first: oriel prediction check FILE
name: my_next_product        # lower case letters, digits and underscores: its name everywhere
target: {kind: next_product}
horizon: 90d                 # how far ahead, in days (d) or weeks (w)
as_of: {every: 30d}          # how far apart training instants lie
model: {type: candidates}    # or {type: candidates, width: 0}: without its deep part
"""

_CLICKS = """\
# Which item comes next in a session?
# Keys: docs/reference/prediction-files.md. Look first: oriel prediction explain FILE --data FOLDER
name: my_next_click
source:
  sessions: my_sessions      # a .parquet or .csv file, or a folder of them, below --data
  session: session           # the column that names the session of a click
  position: position         # the column that puts its clicks in order: a number or a time
  item: item                 # the column that names what was clicked on
target: {kind: next_click}
model: {type: candidates, width: 32}
"""

TEMPLATES = {
    **{
        kind: _USERS.format(
            kind=kind,
            more=_MORE.get(kind, ""),
            question=_QUESTIONS[kind],
            eligible=_EVERYBODY if kind in ("purchase", "event") else _ELIGIBLE,
        )
        for kind in TARGET_KINDS
    },
    "next_product": _PRODUCTS,
    "next_click": _CLICKS,
    "images": _IMAGES,
    "table": _TABLE,
    "text": _TEXT,
}
"""Texts of prediction files by the kind of question."""
