"""ELAN's .eaf: XML with time slots in milliseconds and tiers of annotations, a tier an annotator.

An ALIGNABLE_ANNOTATION names two time slots; its value is the label. REF_ANNOTATIONs hang on others and have no times. An
.eaf belongs to one video, so several videos are written as a zip of files; a zip is read too.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from pathlib import PurePath
from urllib.parse import quote, unquote

from mma82cli.formats import base
from mma82cli.formats.packing import packed
from mma82cli.records import DataError, WrongUsage, show, text

NO_ANNOTATOR = "default"  # the tier that ELAN begins with
UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff\r\n\t]")  # not in XML, or not kept by it
KINDS = {".mp4": "video/mp4", ".mpg": "video/mpeg", ".mpeg": "video/mpeg", ".mov": "video/quicktime"}
SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"


class Reader(base.Reader):
    """A segment an annotation. The annotator is `--annotator`, or the tier's ANNOTATOR, or its name unless `default`."""

    def __init__(self, options):
        super().__init__(options)
        self.references = 0

    def entries(self, file, name: str):
        root = _parsed(file.read())
        header = root.find("HEADER")
        units = "milliseconds" if header is None else header.get("TIME_UNITS", "milliseconds")
        if units != "milliseconds":
            raise DataError(f"TIME_UNITS is {units!r}; expected milliseconds")
        media = None if header is None else header.find("MEDIA_DESCRIPTOR")
        origin = 0 if media is None else int(base.to_number(media.get("TIME_ORIGIN") or "0", "TIME_ORIGIN"))
        video = _video(media, name)
        slots = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE") for slot in root.iterfind("TIME_ORDER/TIME_SLOT")}
        for tier in root.iterfind("TIER"):
            tier_id = tier.get("TIER_ID") or ""
            annotator = self.options.annotator or tier.get("ANNOTATOR") or (tier_id if tier_id != NO_ANNOTATOR else None)
            self.references += sum(1 for _ in tier.iter("REF_ANNOTATION"))
            for i, found in enumerate(tier.iter("ALIGNABLE_ANNOTATION"), 1):
                times = [slots.get(found.get(f"TIME_SLOT_REF{k}")) for k in (1, 2)]
                value = (found.findtext("ANNOTATION_VALUE") or "").strip()
                yield f"tier {tier_id}, annotation {i}", ([*times, value], (video, annotator, origin))

    def record(self, entry) -> dict:
        (first, last, value), (video, annotator, origin) = entry
        if first is None or last is None:
            raise DataError(f"the annotation {show(value)} has a time slot without TIME_VALUE; expected an aligned one")
        start, end = ((base.to_integer(t, "TIME_VALUE", -(1 << 53)) + origin) / 1000 for t in (first, last))
        label = base.label_name(value, self.options.labels, "ANNOTATION_VALUE")
        record = {"video": video, "start": start, "end": end, "label": label}
        return base.good_span(record | ({"annotator": annotator} if annotator else {}))

    def notes(self) -> list[str]:
        if self.references:
            return [f"left out {self.references} annotations that refer to others and have no times of their own"]
        return []


def _parsed(data: bytes):
    """The root of an .eaf. Entities could fill the memory; ELAN writes none."""
    try:
        if b"<!DOCTYPE" in data or b"<\0!\0D\0O\0C\0" in data or b"\0<\0!\0D\0O\0C" in data:
            raise DataError("the file declares a document type; expected an .eaf, which has none")
        root = ET.fromstring(data)
    except ET.ParseError as error:
        line, column = error.position
        reason = str(error).split(":")[0]
        raise base.FileError(f"broken XML ({reason}); expected ELAN's .eaf", line, column + 1) from None
    except (ValueError, LookupError) as error:
        raise DataError(f"{error}; expected ELAN's .eaf") from None
    if root.tag != "ANNOTATION_DOCUMENT":
        raise DataError(f"the document is <{root.tag}>; expected ELAN's <ANNOTATION_DOCUMENT>")
    return root


def _video(media, name: str) -> str:
    """The video of an .eaf: by its relative path, else the name of the file it knows, else its own name."""
    if media is not None and media.get("RELATIVE_MEDIA_URL"):
        return unquote(media.get("RELATIVE_MEDIA_URL")).removeprefix("file:").removeprefix("./")
    if media is not None and media.get("MEDIA_URL"):
        return unquote(media.get("MEDIA_URL")).replace("\\", "/").rpartition("/")[2]
    return PurePath(name).stem


class Writer(base.VideoWriter):
    """An .eaf, or with `-o FILE.zip` one a video; times to the millisecond."""

    KEPT = frozenset({"video", "start", "end", "label", "annotator", "segments"})

    def segment(self, segment: dict, record: dict) -> dict:
        start, end = round(segment["start"] * 1000), round(segment["end"] * 1000)
        if start >= end:
            raise DataError(f"the segment at {segment['start']:g} s is shorter than a millisecond; expected a longer one")
        label = self.options.labels.names[base.label_id(segment, self.options.labels)]
        annotator = text(record, "annotator", self.options.annotator)
        for value in (annotator, record["video"]):
            if value is not None and UNWRITABLE.search(value):
                raise DataError(f"found {show(value)}; expected text that XML can hold")
        if annotator is not None and annotator != annotator.strip():
            raise DataError(f"field 'annotator' is {show(annotator)}; expected no blanks around it")
        return {"start": start, "end": end, "label": label, "annotator": annotator}

    def end(self) -> bytes:
        files = {}
        for video, about in self.videos.items():
            path = PurePath(video)
            name = str(path.with_suffix(".eaf")).lstrip("/").replace("../", "")
            files[name if name not in files else f"{name[:-4]}_{len(files)}.eaf"] = _document(video, about["segments"])
        if self.name.endswith(".zip"):
            return packed(files)
        if len(files) > 1:
            raise WrongUsage(f"the records are of {len(files)} videos, and an .eaf belongs to one: expected -o FILE.zip")
        return next(iter(files.values()), _document("", []))


def _document(video: str, segments: list[dict]) -> bytes:
    root = ET.Element("ANNOTATION_DOCUMENT", AUTHOR="", DATE="1970-01-01T00:00:00+00:00", FORMAT="3.0", VERSION="3.0")
    root.set("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance")
    root.set("xsi:noNamespaceSchemaLocation", SCHEMA)
    header = ET.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if video:
        suffix = PurePath(video).suffix.lower()
        kind = KINDS.get(suffix, "video/*")
        url = quote(video)
        ET.SubElement(header, "MEDIA_DESCRIPTOR", MEDIA_URL="file:///" + url, MIME_TYPE=kind, RELATIVE_MEDIA_URL="./" + url)
    times = sorted({t for s in segments for t in (s["start"], s["end"])})
    slots = {t: f"ts{i}" for i, t in enumerate(times, 1)}
    order = ET.SubElement(root, "TIME_ORDER")
    for time, slot in slots.items():
        ET.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=str(time))
    count = 0
    for annotator, name in _tiers(segments).items():
        tier = ET.SubElement(root, "TIER", LINGUISTIC_TYPE_REF="default-lt", TIER_ID=name)
        if annotator is not None:
            tier.set("ANNOTATOR", annotator)
        for s in segments:
            if s["annotator"] == annotator:
                count += 1
                about = {"ANNOTATION_ID": f"a{count}"}
                about |= {"TIME_SLOT_REF1": slots[s["start"]], "TIME_SLOT_REF2": slots[s["end"]]}
                found = ET.SubElement(ET.SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION", about)
                ET.SubElement(found, "ANNOTATION_VALUE").text = s["label"]
    ET.SubElement(root, "LINGUISTIC_TYPE", GRAPHIC_REFERENCES="false", LINGUISTIC_TYPE_ID="default-lt", TIME_ALIGNABLE="true")
    ET.indent(root, "    ")
    out = io.BytesIO()
    ET.ElementTree(root).write(out, "UTF-8", xml_declaration=True)
    return out.getvalue() + b"\n"


def _tiers(segments: list[dict]) -> dict[str | None, str]:
    """{annotator: name of the tier}, each name once."""
    tiers: dict[str | None, str] = {}
    for s in segments:
        tiers.setdefault(s["annotator"], s["annotator"] or NO_ANNOTATOR)
    if None in tiers and NO_ANNOTATOR in tiers:
        tiers[NO_ANNOTATOR] = NO_ANNOTATOR + "-1"
    return tiers
