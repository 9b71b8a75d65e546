# Every table and figure of the paper. Files are the state: make goes on where it was interrupted.
#
#   make -f share/mma82/reproduce.mk table3                        on the embedded data set
#   make -f share/mma82/reproduce.mk all DATA=mma82 SCALE=paper    on the data set; `fetch` says how to get it, and checks it
#
# DATA   synth, or a folder with rec.jsonl (clips with split, domain, subject and, for skeletons, keypoints), det.jsonl
#        (untrimmed videos with segments), emotion.jsonl (emotion and actions) and the folder videos
# SCALE  smoke: minutes for everything, to see that it runs; small: an hour or two of two cores; paper: the recipes
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

# -- what each scale takes: the model of a row, its recipe, how much data -------------------------------------------------

DOMAINS_smoke := laboratory street
DOMAINS_small := laboratory psychiatric street television
DOMAINS_paper := $(DOMAINS_small)
SYNTH_smoke := --classes 4 --clips 96 --subjects 32
SYNTH_small := --classes 8 --clips 400 --subjects 40
UNTRIMMED_smoke := --classes 4 --clips 12 --subjects 12
UNTRIMMED_small := --classes 8 --clips 96 --subjects 24

PoseC3D_smoke := posec3d-tiny --set epochs=2 --set clips=1
PoseC3D_small := posec3d-tiny
PoseC3D_paper := posec3d
GC-TSM_smoke := gc-tsm-tiny --set epochs=1 --set size=64 --set short_side=72 --set test_size=72
GC-TSM_small := gc-tsm-tiny
GC-TSM_paper := gc-tsm --init imagenet
DETECTORS_smoke := AdaTAD-tiny
DETECTORS_small := AdaTAD-tiny
DETECTORS_paper := VideoMAE-S VideoMAE-B VideoMAE-L VideoMAE-H
AdaTAD-tiny_smoke := adatad-tiny --set epochs=2
AdaTAD-tiny_small := adatad-tiny --set epochs=100
VideoMAE-S_paper := adatad-s --init videomae-s
VideoMAE-B_paper := adatad-b --init videomae-b
VideoMAE-L_paper := adatad-l --init videomae-l
VideoMAE-H_paper := adatad-h --init videomae-h
RUNS_smoke := 3
RUNS_small := 20
RUNS_paper := 20
MLP_smoke := --repeats 1 --permutations 1 --bootstrap 100
RESAMPLES_smoke := 100
RESAMPLES_small := 1000
RESAMPLES_paper := 1000

DOMAINS := $(DOMAINS_$(SCALE))
DETECTORS := $(DETECTORS_$(SCALE))
MODELS := PoseC3D GC-TSM
SHOTS := 1 5 10
SOURCE := laboratory

T := $(OUT)/tables
F := $(OUT)/figures
SCORE := $(MMA82) score -q --ci $(RESAMPLES_$(SCALE)) --cluster subject
, := ,
# $(call named,"field":"value"): writes it in front of each record
named = sed 's/^{/{$(1),/'
# $(call only,DOMAIN): the records of a domain; `all` is all of them
only = $(if $(filter all,$(1)),cat,grep -E '"domain": ?"$(1)"')
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
UNTRIMMED := $(OUT)/untrimmed.jsonl
EMOTIONS := $(OUT)/emotion.jsonl
FELT := $(OUT)/emotion-films.jsonl

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

# what detectors learn from: videos in which actions overlap
$(UNTRIMMED):
	mkdir -p $(@D)
	$(MMA82) synth --kind detection $(UNTRIMMED_$(SCALE)) --videos $(VIDEOS)/untrimmed | $(MMA82) make-splits -o $@
VIDEOS_untrimmed := $(VIDEOS)/untrimmed

$(EMOTIONS):
	mkdir -p $(@D)
	$(MMA82) synth --kind emotion -o $@

# the first of them as films, one of each emotion
$(FELT):
	mkdir -p $(@D)
	$(MMA82) synth --kind emotion --clips 8 --videos $(VIDEOS)/emotion -o $@
VIDEOS_felt := $(VIDEOS)/emotion
else
VIDEOS := $(DATA)/videos
VIDEOS_untrimmed := $(VIDEOS)
CLIPS := $(DATA)/rec.jsonl
SKELETONS := $(DATA)/rec.jsonl
WINDOWS := $(DATA)/det.jsonl
UNTRIMMED := $(WINDOWS)
EMOTIONS := $(DATA)/emotion.jsonl
FELT := $(EMOTIONS)
VIDEOS_felt := $(VIDEOS)
endif

# $(call same,N,FIELD,FILE): counts that differ from Table N of the paper
counts = $(MMA82) tabulate -q --where table=domains --rows domain,split --columns metric --values $(2) --format tsv $(1) | sort
same = diff -U0 --label paper --label here <($(call counts,$(PAPER)/table$(1).jsonl,$(2))) <($(MMA82) stats -q --table domains $(3) | $(call counts,-,$(2))) && echo "Table $(1): the same"
PAPER := $(dir $(lastword $(MAKEFILE_LIST)))paper

fetch: ## how to get the data set; with DATA=, whether it is all there
ifeq ($(DATA),synth)
	@echo "MMA-82 is licensed for research: its authors give access to lpynow/MAR_plus_plus on their hub. Put its videos into"
	@echo "DATA/videos and describe them as records (see the README): DATA/rec.jsonl, a clip a line, and DATA/det.jsonl, a"
	@echo "video a line with its segments; mma82 convert reads lists and tables. Then say make fetch DATA=… to check them."
else
	@failed=0; \
	$(MMA82) validate --media --root $(VIDEOS) $(CLIPS) $(WINDOWS) || failed=1; \
	$(call same,2,clips,$(CLIPS)) || failed=1; \
	$(call same,5,videos,$(WINDOWS)) || failed=1; \
	exit $$failed
endif

# -- the data set: Tables I, II and V, Figs. 2 and 3 -------------------------------------------------------------------

table1: $(T)/1.md ## the data set beside others
$(T)/1.md: $(CLIPS) $(WINDOWS)
	mkdir -p $(@D)
	cat $^ | $(MMA82) stats -q --table overview --against --format latex -o $(T)/1.tex
	cat $^ | $(MMA82) stats -q --table overview --against --format markdown -o $@
	cat $@

table2: $(T)/2.md ## recognition clips by domain and split
$(OUT)/table2.jsonl: $(CLIPS)
	$(MMA82) stats -q --table domains $< -o $@
SHAPE_2 := --rows domain,run --columns split,metric --values clips,subjects,clip_hours

table5: $(T)/5.md ## untrimmed videos by split
$(OUT)/table5.jsonl: $(WINDOWS)
	$(MMA82) stats -q --table domains $< -o $@
SHAPE_5 := --rows domain,run --columns split,metric --values videos,segments,subjects,video_hours

fig2: $(F)/taxonomy.png ## the taxonomy
$(F)/taxonomy.png:
	mkdir -p $(@D)
	$(MMA82) labels | $(MMA82) plot taxonomy --out $(@D)

fig3: $(F)/ring.png $(F)/violin.png $(F)/classes.png ## how many instances of what, and how long
$(OUT)/stats.jsonl: $(CLIPS) $(WINDOWS)
	cat $^ | $(MMA82) stats -q -o $@
$(F)/ring.png $(F)/violin.png $(F)/classes.png: $(F)/%.png: $(OUT)/stats.jsonl
	mkdir -p $(@D)
	$(MMA82) plot $* --out $(@D) $<

fig4: $(F)/fig4.done ## skeletons, with what moves and where to
$(F)/fig4.done: $(SKELETONS)
	mkdir -p $(@D)/fig4
	awk 'NR % 16 == 1 && NR <= 64' $< | $(MMA82) plot overlay --root $(VIDEOS) --out $(@D)/fig4
	touch $@

# -- recognition: Table III, a model a row -----------------------------------------------------------------------------

table3: $(T)/3.md ## in-domain recognition
INPUT_PoseC3D := $(SKELETONS)
INPUT_GC-TSM := $(CLIPS)

# $(1) model, $(2) domain: the run, its predictions, its figures
define RECOGNITION
$(OUT)/run/$(1)-$(2)/done: $(INPUT_$(1))
	mkdir -p $$(@D)
	$(call only,$(2)) $$< | $(MMA82) train-rec --out $$(@D) --root $(VIDEOS) --cache $(OUT)/cache --recipe $($(1)_$(SCALE)) $$(call resumed,$$(@D)) >> $$(@D)/epochs.jsonl
	touch $$@

$(OUT)/preds/$(1)-$(2).jsonl: $(OUT)/run/$(1)-$(2)/done $(INPUT_$(1))
	mkdir -p $$(@D)
	$(call only,$(2)) $(INPUT_$(1)) | $(MMA82) infer $$(<D) --split test --root $(VIDEOS) -o $$@

$(OUT)/scores/$(1)-$(2).jsonl: $(OUT)/preds/$(1)-$(2).jsonl
	mkdir -p $$(@D)
	$(SCORE) --split test $$< | $(call named,"domain":"$(2)"$(,)"model":"$(1)") > $$@
endef
$(foreach model,$(MODELS),$(foreach domain,all $(DOMAINS),$(eval $(call RECOGNITION,$(model),$(domain)))))

# the model of all domains, in each of them
$(OUT)/scores/%-by-domain.jsonl: $(OUT)/preds/%-all.jsonl
	mkdir -p $(@D)
	$(SCORE) --split test --by domain $< | $(call named,"model":"$* (all)") > $@

$(OUT)/table3.jsonl: $(foreach m,$(MODELS),$(foreach d,all $(DOMAINS),$(OUT)/scores/$(m)-$(d).jsonl) $(OUT)/scores/$(m)-by-domain.jsonl)
	grep -hv '"metric":"f1-mean"' $^ > $@
SHAPE_3 := --rows domain,model,run --columns level,metric

# -- across domains: Table IV ------------------------------------------------------------------------------------------

table4: $(T)/4.md ## from the laboratory to other domains, with 0, 1, 5 and 10 clips a class
TRAINED := $(OUT)/run/PoseC3D-$(SOURCE)

# subjects of the source stay in their splits, so the run of Table III is the one to adapt
$(OUT)/zero-shot.jsonl: $(SKELETONS)
	$(call only,$(SOURCE)) $< | $(MMA82) make-splits --protocol zero-shot --source $(SOURCE) --like - $< -o $@

$(OUT)/scores/zero-shot.jsonl: $(OUT)/zero-shot.jsonl $(TRAINED)/done
	mkdir -p $(@D)
	grep -F '"protocol":"zero-shot"' $< | $(MMA82) infer $(TRAINED) | $(SCORE) --by domain | $(call named,"protocol":"zero-shot") > $@

$(OUT)/scores/%-shot.jsonl: $(SKELETONS) $(TRAINED)/done
	mkdir -p $(@D)
	$(MMA82) make-splits --protocol few-shot --source $(SOURCE) --shots $* --runs $(RUNS_$(SCALE)) $< | $(MMA82) adapt $(TRAINED) --cache $(OUT)/cache | $(MMA82) score -q --by domain --mean-over run | $(call named,"protocol":"$*-shot") > $@

$(OUT)/table4.jsonl: $(OUT)/scores/zero-shot.jsonl $(SHOTS:%=$(OUT)/scores/%-shot.jsonl)
	grep -hE '"metric":"(top1|top5|mca)"' $^ > $@
SHAPE_4 := --rows domain,protocol,run --columns level,metric

# -- detection: Table VI, Figs. 5 and 7 --------------------------------------------------------------------------------

table6: $(T)/6.md ## detection, a model a row

$(OUT)/run/detector-%/done: $(UNTRIMMED)
	mkdir -p $(@D)
	$(MMA82) train-det --out $(@D) --root $(VIDEOS_untrimmed) --cache $(OUT)/cache --recipe $($*_$(SCALE)) $(call resumed,$(@D)) $< >> $(@D)/epochs.jsonl
	touch $@

$(OUT)/preds/detector-%.jsonl: $(OUT)/run/detector-%/done $(UNTRIMMED)
	mkdir -p $(@D)
	$(MMA82) infer $(<D) --split test --root $(VIDEOS_untrimmed) -o $@ $(UNTRIMMED)

$(OUT)/scores/detector-%.jsonl: $(OUT)/preds/detector-%.jsonl
	mkdir -p $(@D)
	$(SCORE) --split test --body-suppress gauss $< | $(call named,"model":"$*") > $@

$(OUT)/table6.jsonl: $(DETECTORS:%=$(OUT)/scores/detector-%.jsonl)
	grep -hE '"level":"(action|body)","tiou":(0.2|0.5|0.7|"avg")|"level":"avg","tiou":"avg"' $^ > $@
SHAPE_6 := --rows model,run --columns level,tiou

DETECTIONS := $(OUT)/preds/detector-$(firstword $(DETECTORS)).jsonl
fig5: $(F)/fig5.done ## detections and truth over time
$(F)/fig5.done: $(DETECTIONS)
	mkdir -p $(@D)/fig5
	head -n 2 $< | $(MMA82) plot timeline --root $(VIDEOS_untrimmed) --out $(@D)/fig5
	touch $@

fig7: $(F)/diagnosis.png ## what the detector misses, gets wrong, and what that costs
$(F)/diagnosis.png: $(DETECTIONS)
	mkdir -p $(@D)
	$(MMA82) diagnose -q $< | $(MMA82) plot diagnosis --out $(@D)

# -- emotions: Tables VII and VIII, Figs. 6, 8 and 9 -------------------------------------------------------------------

# seven emotions, 30 % of the people for the test; the fusion is fitted on val
table7: $(T)/7.md ## emotions from faces, from micro-actions, and from both
$(OUT)/emotion-split.jsonl: $(EMOTIONS)
	$(MMA82) make-splits -q --stratify emotion --ratio 5:2:3 $< -o $@

$(OUT)/faces.jsonl: $(OUT)/emotion-split.jsonl
	grep -vF '"emotion":"neutral"' $< | grep -E '"split":"(val|test)"' > $@

$(OUT)/emotion-actions.jsonl: $(OUT)/emotion-split.jsonl
	$(MMA82) emotion-mlp -q --by-split --repeats 1 --permutations 0 --predictions $@.part $< -o $(OUT)/emotion-split-mlp.jsonl
	grep -F '"actions":"all"' $@.part > $@ && rm $@.part

FUSE := $(MMA82) fuse -q --method mlp --taxonomy emotion8 --target emotion
JUDGED := $(SCORE) --split test --taxonomy emotion8 --target emotion --metric top1 --metric macro-f1
$(OUT)/table7.jsonl: $(OUT)/faces.jsonl $(OUT)/emotion-actions.jsonl
	( $(FUSE) $< | $(JUDGED) | $(call named,"streams":"face"); \
	  $(JUDGED) $(word 2,$^) | $(call named,"streams":"action"); \
	  $(FUSE) $^ | $(JUDGED) | $(call named,"streams":"both") ) | sed 's/"macro-f1"/"f1"/' > $@
SHAPE_7 := --rows streams,run --columns metric

table8: $(T)/8.md ## emotions from micro-actions: all of them, without the telling ones, only those
$(OUT)/table8.jsonl: $(EMOTIONS)
	$(MMA82) emotion-mlp -q $(MLP_$(SCALE)) $< | grep -F '"metric":"top1"' > $@
SHAPE_8 := --rows actions,run --columns metric

fig6: $(F)/sankey.png ## which actions go with which emotions
fig9: $(F)/sankey.png ## the trees
$(F)/sankey.png: $(EMOTIONS)
	mkdir -p $(@D)
	$(MMA82) emotion-tree -q --plot $(@D) $< -o $(OUT)/emotion-tree.jsonl

fig8: $(F)/examples.png ## people who feel something, and what they do meanwhile
$(F)/examples.png: $(FELT)
	mkdir -p $(@D)
	$(MMA82) plot examples --root $(VIDEOS_felt) --out $(@D) $<

# -- laying out --------------------------------------------------------------------------------------------------------

TABLES := table1 table2 table3 table4 table5 table6 table7 table8
FIGURES := fig2 fig3 fig4 fig5 fig6 fig7 fig8 fig9
all: $(TABLES) $(FIGURES) ## every table and figure

TABULATE = $(MMA82) tabulate $(SHAPE_$*) --as here --beside paper=table$*
$(T)/%.md: $(OUT)/table%.jsonl
	mkdir -p $(@D)
	$(TABULATE) --format latex $< -o $(T)/$*.tex
	$(TABULATE) --format markdown $< -o $@
	$(TABULATE) $<

.PHONY: help fetch all $(TABLES) $(FIGURES)
