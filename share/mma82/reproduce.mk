# Every table and figure of the paper. Files are the state: make goes on where it was interrupted.
#
#   make -f share/mma82/reproduce.mk table3                        on the embedded data set
#   make -f share/mma82/reproduce.mk all DATA=mma82 SCALE=paper    on the data set; `fetch` says how to get it, and checks it
#
# DATA   synth, or a folder with rec.jsonl (clips with split, domain, subject and, for skeletons, keypoints), det.jsonl
#        (untrimmed videos with segments), emotion.jsonl (emotion and actions) and the folder videos
# SCALE  smoke: minutes for everything, to see that it runs; small: the numbers in docs, hours of two cores; paper: the recipes
# OUT    where files go. tables/N.md and tables/N.tex are the paper's table N beside the run's; figures/ are figures
# MMA82  the command; JOBS processes where a command takes them

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:

DATA ?= synth
SCALE ?= small
OUT ?= reproduce
MMA82 ?= mma82
JOBS ?= $(shell nproc)

DOMAINS := laboratory psychiatric street television
MODELS := PoseC3D GC-TSM

# What is trained, and on how much, at each scale
SYNTH_smoke := --classes 6 --clips 160 --subjects 32
SYNTH_small := --classes 16 --clips 640 --subjects 40
PoseC3D_smoke := posec3d-tiny --set epochs=2 --set clips=1
PoseC3D_small := posec3d-tiny
PoseC3D_paper := posec3d
GC-TSM_smoke := gc-tsm-tiny --set epochs=1
GC-TSM_small := gc-tsm-tiny
GC-TSM_paper := gc-tsm
DETECTORS_smoke := adatad-tiny
DETECTORS_small := adatad-tiny
DETECTORS_paper := adatad-s adatad-b adatad-l adatad-h
DETECTION_smoke := --set epochs=1
RUNS_smoke := 2
RUNS_small := 20
RUNS_paper := 20
RESAMPLES := 1000

T := $(OUT)/tables
F := $(OUT)/figures
NAMED = sed 's/^{/{$(1),/'# adds fields in front of each record
SCORE := $(MMA82) score -q --split test --ci $(RESAMPLES) --cluster subject
# $(call only,DOMAIN): the records of a domain; `all` is all of them
only = $(if $(filter all,$(1)),cat,grep -F '"domain":"$(1)"')
# $(call resumed,DIR): --resume where a run has begun
resumed = $$(test ! -e $(1)/last.state.safetensors || echo --resume)

help: ## this list
	@grep -hE '^[a-z0-9]+:.*## ' $(lastword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | expand -t 12

# -- the data ----------------------------------------------------------------------------------------------------------

ifeq ($(DATA),synth)
VIDEOS := $(OUT)/videos
CLIPS := $(OUT)/rec.jsonl
SKELETONS := $(OUT)/skeletons.jsonl
WINDOWS := $(OUT)/det.jsonl
EMOTIONS := $(OUT)/emotion.jsonl

# people in four domains, as three annotators mark them; merged, and cut as Section IV does
$(OUT)/annotations.jsonl:
	mkdir -p $(@D)
	$(MMA82) synth --kind annotations $(SYNTH_$(SCALE)) --videos $(VIDEOS) -o $@

$(OUT)/segments.jsonl: $(OUT)/annotations.jsonl
	$(MMA82) merge-annotations --min-annotators 2 $< -o $@

$(CLIPS): $(OUT)/segments.jsonl
	$(MMA82) cut --task rec $< | $(MMA82) make-splits -o $@

$(WINDOWS): $(OUT)/segments.jsonl $(CLIPS)
	$(MMA82) cut --task det $< | $(MMA82) make-splits --like $(CLIPS) -o $@

$(SKELETONS): $(CLIPS)
	$(MMA82) extract-skeleton --model dots --root $(VIDEOS) --jobs $(JOBS) --resume $@.part $< && mv $@.part $@

$(EMOTIONS):
	mkdir -p $(@D)
	$(MMA82) synth --kind emotion -o $@
else
VIDEOS := $(DATA)/videos
CLIPS := $(DATA)/rec.jsonl
SKELETONS := $(DATA)/rec.jsonl
WINDOWS := $(DATA)/det.jsonl
EMOTIONS := $(DATA)/emotion.jsonl
endif

# -- recognition: Table III, a model a row -----------------------------------------------------------------------------

INPUT_PoseC3D := $(SKELETONS)
INPUT_GC-TSM := $(CLIPS)

# $(1) model, $(2) domain: the run, its predictions, its figures
define RECOGNITION
$(OUT)/run/$(1)-$(2)/done: $(INPUT_$(1))
	mkdir -p $$(@D)
	$(call only,$(2)) $$< | $(MMA82) train-rec --out $$(@D) --root $(VIDEOS) --recipe $($(1)_$(SCALE)) $(call resumed,$$(@D)) >> $$(@D)/epochs.jsonl
	touch $$@

$(OUT)/preds/$(1)-$(2).jsonl: $(OUT)/run/$(1)-$(2)/done $(INPUT_$(1))
	mkdir -p $$(@D)
	$(call only,$(2)) $(INPUT_$(1)) | $(MMA82) infer $$(<D) --split test --root $(VIDEOS) -o $$@

$(OUT)/scores/$(1)-$(2).jsonl: $(OUT)/preds/$(1)-$(2).jsonl
	mkdir -p $$(@D)
	$(SCORE) $$< | $(call NAMED,"domain":"$(2)"$(,)"model":"$(1)") > $$@
endef
, := ,
$(foreach model,$(MODELS),$(foreach domain,all $(DOMAINS),$(eval $(call RECOGNITION,$(model),$(domain)))))

# the model of all domains, in each of them
$(OUT)/scores/%-by-domain.jsonl: $(OUT)/preds/%-all.jsonl
	$(SCORE) --by domain $< | $(call NAMED,"model":"$* (all)") > $@

$(OUT)/table3.jsonl: $(foreach m,$(MODELS),$(foreach d,all $(DOMAINS),$(OUT)/scores/$(m)-$(d).jsonl) $(OUT)/scores/$(m)-by-domain.jsonl)
	cat $^ > $@
SHAPE_3 := --rows domain,model,run --columns level,metric

table3: $(T)/3.md ## in-domain recognition

# -- laying out --------------------------------------------------------------------------------------------------------

TABULATE = $(MMA82) tabulate $(SHAPE_$*) --as here --beside paper=table$*
$(T)/%.md: $(OUT)/table%.jsonl
	mkdir -p $(@D)
	$(TABULATE) --format latex $< -o $(T)/$*.tex
	$(TABULATE) --format markdown $< -o $@
	$(TABULATE) $<

.PHONY: help table3
