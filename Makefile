# Everything a newcomer needs, in an environment of its own. The README has the plain pip commands.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart test quick fuzz check notebooks lab docs kill soak

quickstart: .venv/lab        ## train on drawn scenes, paint, and judge: four to ten minutes after the installation
	$(BIN)/limner train quickstart --evaluate

test: .venv/dev              ## all the tests, notebooks included: half an hour to an hour on two cores
	$(BIN)/pytest -m "not notebook" --slow -n 2 --dist loadfile
	OMP_NUM_THREADS=1 $(BIN)/pytest -m notebook -n 2 --dist loadfile --no-loadscope-reorder  # the longest lesson first

quick: .venv/dev             ## the tests without the notebooks and the slow ones: three to seven minutes
	$(BIN)/pytest -m "not notebook" -n 2 --dist loadfile

fuzz: .venv/dev              ## ten thousand examples of odd input for each property; an hour or more
	HYPOTHESIS_PROFILE=fuzz $(BIN)/pytest $$(grep -rl "^from hypothesis" tests --include="test_*.py") -n 2 --dist loadfile

check: .venv/dev             ## formatting, lint and types, of code and notebooks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

kill: .venv/dev              ## kill trainings 200 times, resume each, and compare it bit for bit: some ten minutes
	OMP_NUM_THREADS=1 $(BIN)/python tests/kill.py --kills 200

soak: .venv/dev              ## train, resume, paint and judge for two hours; draw memory, open files and threads
	OMP_NUM_THREADS=1 $(BIN)/python tests/soak.py --hours 2

notebooks: .venv/dev         ## build the notebooks from their sources in tutorials/ and run them
	$(BIN)/python tutorials/build.py

lab: .venv/lab               ## JupyterLab on the tutorials
	$(BIN)/jupyter lab tutorials

docs: .venv/docs             ## the site, with the lessons and the whole reference, in site/: under a minute; with npm, it also paints
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.venv/%: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e ".[$*]"
	touch $@
