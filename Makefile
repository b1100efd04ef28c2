# The two commands of this project are `make run` and `make test`; both install what is missing, then build, then go.
scripts := cmake/scripts

.PHONY: run test test-asan test-tsan fuzz tidy build format clean help
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 14

run:  ## gateway with two simulated backends, until Ctrl-C
	@$(scripts)/run.sh

test:  ## everything: unit, conformance, integration, official SDKs
	@$(scripts)/test.sh release

test-asan:  ## the same suites under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(scripts)/test.sh asan

test-tsan:  ## the same suites under ThreadSanitizer
	@$(scripts)/test.sh tsan

fuzz:  ## every fuzz target for FUZZ_SECONDS (60) each, starting from its corpus
	@$(scripts)/fuzz.sh

tidy:  ## clang-tidy over all sources
	@$(scripts)/tidy.sh

build:  ## optimised binaries in build/release/bin
	@$(scripts)/build.sh release

format:  ## clang-format over all sources
	@git ls-files --cached --others --exclude-standard '*.cpp' '*.hpp' | xargs -r clang-format-19 -i

clean:  ## removes build/
	rm -rf build
