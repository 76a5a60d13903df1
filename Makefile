# `make demo` and `make test` do all their own set-up. The virtual environments are .venv (to use) and
# .venv-dev (to test, with torch).
PYTHON ?= python3
USE := .venv
DEV := .venv-dev
PACKAGES := proto/ringwatch_proto agent/ringwatch_agent collector/ringwatch_collector \
  runbooks/ringwatch_knowledge runbooks/ringwatch_runbooks tui/ringwatch_tui drills/ringwatch_drills cli/ringwatch
PROTOS := $(wildcard proto/ringwatch_proto/v1/*.proto)
# Small parts of other people's formats, with their sources in the files.
FOREIGN := agent/ringwatch_agent/kubelet/podresources.proto agent/ringwatch_agent/tensorboard/event.proto

.PHONY: demo test check bench proto proto-check setup dev clean

# Debian's python3 comes without ensurepip: bring it where we may, else say what is missing.
define venv
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq python3-venv; } \
	  || { echo "python3 has no venv: install the package python3-venv" >&2; exit 1; }
	@[ -x $(1)/bin/python ] || $(PYTHON) -m venv $(1)
endef

$(USE)/.ready: pyproject.toml
	$(call venv,$(USE))
	@$(USE)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[agent,collector,console]'
	@touch $@

$(DEV)/.ready: pyproject.toml
	$(call venv,$(DEV))
	@$(DEV)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

setup: $(USE)/.ready
dev: $(DEV)/.ready

# A simulated fleet, a fault, and the console. HEADLESS=1 prints events instead and ends by itself.
demo: $(USE)/.ready
	@$(USE)/bin/ringwatch demo $(if $(HEADLESS),--headless --json)

test: $(DEV)/.ready
	@$(DEV)/bin/python -m pytest $(if $(TESTS),$(TESTS),-n 2 --dist loadgroup)

check: $(DEV)/.ready proto-check
	@$(DEV)/bin/ruff format --check .
	@$(DEV)/bin/ruff check .
	@$(DEV)/bin/mypy $(PACKAGES) tests
	@$(DEV)/bin/lint-imports --no-cache
	@$(DEV)/bin/ringwatch kb lint

bench: $(DEV)/.ready
	@$(DEV)/bin/ringwatch bench hook --json
	@$(DEV)/bin/ringwatch bench collector --json

proto: $(DEV)/.ready
	@$(DEV)/bin/python -m grpc_tools.protoc -I proto --python_out=proto --pyi_out=proto --grpc_python_out=proto $(PROTOS)
	@$(DEV)/bin/python -m grpc_tools.protoc -I agent --python_out=agent --pyi_out=agent $(FOREIGN)

proto-check: proto
	@git diff --exit-code --stat -- 'proto/ringwatch_proto/v1/*_pb2*' 'agent/ringwatch_agent/*/*_pb2*' \
	  || { echo "generated code was not up to date: commit what make proto wrote" >&2; exit 1; }

clean:
	@rm -rf $(USE) $(DEV) build dist var .mypy_cache .ruff_cache .pytest_cache
