"""`mma82 convert` as a user calls it."""

import gzip
import json
import zipfile

import pytest
from conftest import as_lines

SEGMENT = {"video": "a.mp4", "start": 1.0, "end": 2.0, "label": "Nodding"}


def labelu(*segments, **result):
    tools = [{"toolName": "videoSegmentTool", "result": list(segments)}]
    return {"id": 1, "fileName": "a.mp4", "result": json.dumps({"annotations": tools, **result})}


def test_labelu_names_bad_segments_and_counts_invalid_items(run, tmp_path):
    good = {"start": 1.0, "end": 2.0, "label": "nodding"}
    frames = {"id": 2, "fileName": "b.mp4", "result": {"annotations": [{"toolName": "videoFrameTool", "result": [{}, {}]}]}}
    items = [labelu(good, {**good, "end": 0.5}, {**good, "label": "none"}), labelu(good, valid=False), frames, {"fileName": "c"}]
    path = tmp_path / "anna.json"
    path.write_text(json.dumps(items))
    result = run("convert", "--from", "labelu", "--on-error", "skip", path)
    assert result.code == 1 and result.records == [{**SEGMENT, "annotator": "anna"}]
    faults = [json.loads(line) for line in result.err.splitlines() if line.startswith("{")]
    assert [f["place"] for f in faults] == ["item 1, segment 2", "item 1, segment 3", "item 4"]
    assert faults[0]["error"].startswith(f"{path}: item 1, segment 2: field 'end' is 0.5") and faults[0]["line"] is None
    assert "1 items marked valid:false, with 1 segments" in result.err and "2 of videoFrameTool" in result.err
    kept = run("convert", "--from", "labelu", "--keep-invalid", "--on-error", "skip", "--annotator", "b", path)
    assert [(r["annotator"], r.get("valid")) for r in kept.records] == [("b", None), ("b", False)]
    stopped = run("convert", "--from", "labelu", path)
    assert stopped.code == 1 and stopped.err == f"mma82 convert: {faults[0]['error']}\n"


def test_columns_that_are_no_fields_are_told(run):
    table = "video,label,mood,a,b,c,d,e\nx.mp4,3,good,,,,,\n"
    result = run("convert", "--from", "csv", stdin=table)
    assert result.records == [{"video": "x.mp4", "label": "Tilting forward/backward"}]
    told = "left out the columns mood, a, b, c, d, …: no names of fields; --columns FIELD=COLUMN,… takes them"
    assert result.err == f"mma82 convert: {told}\n"
    assert run("convert", "--from", "csv", "--columns", "video=video,mood=mood", stdin=table).err == ""


def test_rows_of_one_clip_are_one_list_of_actions(run):
    columns = ("convert", "--from", "csv", "--columns", "id=clip,emotion=felt,actions=seen")
    table = "clip,felt,seen\na,sad,Nodding\na,sad,waving\na,sad,Nodding\nb,sad,\nc,happy,Nodding;Waving\nc,happy,Thumbs up\n"
    got = run(*columns, stdin=f"{table}d,sad\n")
    assert (got.code, got.err) == (0, "") and got.records == [
        {"id": "a", "emotion": "sad", "actions": ["Nodding", "Waving", "Nodding"]}, {"id": "b", "emotion": "sad", "actions": []},
        {"id": "c", "emotion": "happy", "actions": ["Nodding", "Waving", "Thumbs up"]},
        {"id": "d", "emotion": "sad", "actions": []},
    ]  # fmt: skip
    wrong = run(*columns, stdin="clip,felt,seen\na,sad,Nodding\na,sad,Flying\n")
    assert (wrong.code, wrong.err.count("\n")) == (1, 1) and "<stdin>:3: field 'actions' is \"Flying\"" in wrong.err


def test_rows_that_give_one_clip_two_labels_are_told(run):
    table = "video,label\na.mp4,Nodding\na.mp4,Nodding\na.mp4,Waving\nb.mp4,Waving\n"
    got = run("convert", "--from", "csv", stdin=table)
    said = "expected \"Nodding\", as in the row before of \"a.mp4\": a clip has one ("
    more = "--columns actions=COLUMN makes a list of several, start and end make segments)\n"
    assert (got.code, got.err) == (1, f"mma82 convert: <stdin>:4: field 'label' is \"Waving\"; {said}{more}")
    skipped = run("convert", "--from", "csv", "--on-error", "skip", stdin=table)
    assert [r["video"] for r in skipped.records] == ["a.mp4", "a.mp4", "b.mp4"]
    spans = "video,start,end,label\na.mp4,0,1,Nodding\na.mp4,0,1,Waving\n"
    assert len(run("convert", "--from", "csv", stdin=spans).records) == 2
    people = "video,label,annotator\na.mp4,Nodding,A1\na.mp4,Waving,A2\n"
    assert len(run("convert", "--from", "csv", stdin=people).records) == 2


def test_a_table_of_emotion_clips_lists_their_actions(run):
    columns = ("convert", "--from", "csv", "--columns", "id=clip,actions=seen")
    table = 'clip,seen\na,Nodding; waving\nb,\nc,"[""Nodding"",6]"\nd,Turning_head|Nodding\n'
    assert [r["actions"] for r in run(*columns, stdin=table).records] == [
        ["Nodding", "Waving"], [], ["Nodding", "Nodding"], ["Turning head", "Nodding"],
    ]  # fmt: skip
    wrong = run(*columns, stdin="clip,seen\na,Nodding;Flying\n")
    assert wrong.code == 1 and "<stdin>:2: field 'actions' is \"Flying\"" in wrong.err


def test_tables_as_spreadsheets_leave_them(run):
    columns = ("convert", "--from", "csv", "--columns", "id=Nr.,emotion=Gefühl,subject=wer,actions=was")
    table = '\ufeffNr.;Gefühl;wer;was\r\n1;anger ; s1 ;"Nodding; Waving"\r\n;;;\r\n2;;s1;\r\n'
    assert run(*columns, stdin=table).records == [
        {"id": "1", "emotion": "anger", "subject": "s1", "actions": ["Nodding", "Waving"]},
        {"id": "2", "subject": "s1", "actions": []},
    ]
    commas = run(*columns, stdin=table.replace("Nodding; ", "Nodding, "))
    assert commas.err.endswith("and ; or | between several\n") and 'is "Nodding, Waving"' in commas.err
    for text, said in (
        (table.encode("utf-16"), "<stdin>:1: UTF-16 text; expected UTF-8 (Excel: save as CSV UTF-8; `iconv -f utf-16 -t utf-8`"),
        (table[1:].replace("s1", "é").encode("cp1252"), "<stdin>:2: bad UTF-8, byte 0xe9; expected UTF-8 (Excel: save as CSV"),
        (table.replace("Nr.", "Nr. 1"), "; did you mean 'Nr. 1'?"),
    ):
        wrong = run("convert", "--from", "csv", "--columns", "id=Nr.,subject=wer", stdin=text)
        assert wrong.code == 1 and said in wrong.err, wrong.err


def test_a_workbook_is_no_table(run, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as book:
        book.writestr("[Content_Types].xml", "<Types/>")
        book.writestr("xl/workbook.xml", "<workbook/>")
    refused = run("convert", "--from", "csv", tmp_path / "a.xlsx")
    said = f"mma82 convert: {tmp_path}/a.xlsx: found a workbook of Excel; expected a table (save as CSV UTF-8)\n"
    assert (refused.code, refused.out, refused.err) == (1, "", said)


def test_a_comma_in_a_name_cuts_none_off(run):
    listed = ("convert", "--from", "csv", "--columns", "video=1")
    refused = run(*listed, stdin="a.mp4\nSmith, John.mp4\n")
    assert refused.code == 1 and refused.out == '{"video":"a.mp4"}\n'
    assert "<stdin>:2: the row has 2 cells; expected 1, as the first row (a comma in a cell needs quotes)" in refused.err
    assert run(*listed, stdin='a.mp4\n"Smith, John.mp4"\n').records[1] == {"video": "Smith, John.mp4"}


def test_a_comma_is_a_decimal_sign_between_semicolons(run):
    table = "video;start;end;label;fps;x\na,1.mp4;0:02,5;9,25;3;29,97;1,5\n"
    assert run("convert", "--from", "csv", "-q", stdin=table).records == [
        {"video": "a,1.mp4", "start": 2.5, "end": 9.25, "label": "Tilting forward/backward", "fps": 29.97}
    ]
    header = ";".join(f"s{i}" for i in range(82))
    scores = run("convert", "--from", "csv", "--columns", "scores=s0..s81,id=id", stdin=f"id;{header}\na{';0,5' * 82}\n")
    assert scores.records == [{"id": "a", "scores": [0.5] * 82}]
    for cells, said in (("1.000,5", "1.000,5"), ("0:0x", "0:0x")):
        wrong = run("convert", "--from", "csv", stdin=f"video;start;end\na.mp4;{cells};9\n")
        assert wrong.err == f"mma82 convert: <stdin>:2: field 'start' is \"{said}\"; expected seconds, or HH:MM:SS.ss\n"
    tabs = run("convert", "--from", "csv", stdin="video\tstart\tend\na.mp4\t1,500\t9\n")
    assert tabs.code == 1 and "field 'start' is \"1,500\"" in tabs.err


def test_labelu_names_uploads_anew(run, tmp_path):
    def exported(*names):
        path = tmp_path / "anna.json"
        path.write_text(json.dumps([{**labelu({"start": 1.0, "end": 2.0, "label": "nodding"}), "fileName": n} for n in names]))
        return run("convert", "--from", "labelu", path)

    uploads = exported("12345678-a.mp4", "1a2b3c4d-20240101-b.mp4")
    assert [r["video"] for r in uploads.records] == ["a.mp4", "20240101-b.mp4"]
    assert "took off the 8 digits that LabelU puts before the names of uploads (2 items)" in uploads.err
    for names in (
        ("20240101-a.mp4", "20240102-b.mp4"), ("1a2b3c4d-a.mp4", "b.mp4"), ("1a2b3c4d-5e6f-4a1b-9c8d-0123456789ab.mp4",),
    ):  # fmt: skip
        kept = exported(*names)
        assert [r["video"] for r in kept.records] == list(names) and kept.err == ""


def test_a_labelu_file_holds_one_annotator(run, tmp_path):
    both = [{**SEGMENT, "annotator": a} for a in ("a1", "a2")]
    out = tmp_path / "x.json"
    assert run("convert", "--to", "labelu", "-o", out, stdin=both).code == 2 and not out.exists()
    chosen = run("convert", "--to", "labelu", "--annotator", "a2", "-o", out, stdin=both)
    assert chosen.code == 0 and "left out 1 records of other annotators" in chosen.err
    assert run("convert", "--from", "labelu", "--annotator", "a2", out).records == both[1:]


def test_between_two_formats(run, tmp_path):
    table = "clip\tfrom\tto\taction\nd/a.mp4\t0:01\t2\tnodding\n"
    out = tmp_path / "x.eaf"
    columns = ("--columns", "video=clip,start=from,end=to,label=action")
    assert run("convert", "--from", "csv", *columns, "--to", "elan", "-o", out, stdin=table).code == 0
    assert run("convert", "--from", "elan", out).records == [{**SEGMENT, "video": "d/a.mp4"}]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "--from"),
        (["--from", "nope"], 2, "labelu"),
        (["--to", "labelu"], 2, "-o FILE"),
        (["--from", "csv", "--columns", "video"], 2, "FIELD=COLUMN"),
        (["--from", "csv", "--columns", "video=clip,start=b"], 1, "<stdin>:1: no column 'clip'"),
        (["--from", "labelu"], 1, "<stdin>:1:1: broken JSON"),
        (["--from", "elan"], 1, "<stdin>:1:1: broken XML"),
        (["--from", "pyskl"], 1, "not a pickle"),
        (["--from", "mma52"], 1, "<stdin>:1: no column"),
        (["--from", "list"], 1, "<stdin>:1: found"),
        (["--from", "tree", "nosuch"], 1, "nosuch: No such file"),
        (["--to", "list"], 1, "<stdin>:1:1: broken JSON"),
    ],
)
def test_errors_are_one_line(run, arguments, status, words):
    result = run("convert", *arguments, stdin=b"a,b\n")
    assert result.code == status and result.out == "" and result.err.count("\n") == 1 and words in result.err, result.err


def test_submissions_are_zips_of_the_same_bytes(run, tmp_path):
    records = [{"video": "d/test0001.mp4", "scores": [i * 37 % 52 / 52 for i in range(52)]}]
    for name in ("a.zip", "b.zip"):
        assert run("convert", "--to", "mac-mar", "-o", tmp_path / name, stdin=records).code == 0
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == ["prediction.csv"]
        header, row = archive.read("prediction.csv").decode().split()
    assert header.startswith("vid,action_pred_1,") and header.endswith(",body_pred_5")
    assert row == "test0001.mp4,7,14,21,28,35,1,2,2,3,4"
    old = run("convert", "--to", "mac-mar", "--challenge", "2024", stdin=records).out
    assert old == "id,pred_label_1,pred_label_2\ntest0001.mp4,1,7\n"
    back = run("convert", "--from", "mac-mar", tmp_path / "a.zip").records
    assert back[0]["topk"][0] == ["tilting head", 1.0]
    more = run("convert", "--to", "mac-mar", stdin=[{"id": "x", "scores": [0.5] * 82}])
    assert more.code == 0 and more.out.splitlines()[1] == "x,0,1,2,3,4,0,0,0,0,0"
    detections = [{"id": "v", "predictions": [{"start": 1.5, "end": 2, "label": "shrugging", "score": 0.5}]}]
    assert run("convert", "--to", "mac-mmad", stdin=detections).out == ",video_id,t_start,t_end,class,score\n0,v,1.5,2,2,0.5\n"


def test_label_studio_counts_frames_from_one(run):
    ranges = {"type": "timelinelabels", "value": {"ranges": [{"start": 1, "end": 25}], "timelinelabels": ["Nodding"]}}
    phantom = {"type": "timelinelabels", "value": {"timelinelabels": ["Nodding"]}}
    task = {"data": {"video": "a.mp4"}, "annotations": [{"completed_by": 3, "result": [ranges, phantom]}]}
    result = run("convert", "--from", "label-studio", "--fps", "25", "--on-error", "skip", stdin=json.dumps([task]))
    assert result.code == 1 and result.records == [{**SEGMENT, "start": 0.0, "end": 1.0, "annotator": "3"}]
    assert "task 1, result 2: field 'ranges' is missing" in result.err
    assert run("convert", "--from", "label-studio", stdin=json.dumps([task])).code == 2


@pytest.mark.parametrize("options, said", [
    (["--from", "elan", "--columns", "video=a"], "--columns is of csv; found elan"),
    (["--from", "list", "--to", "csv", "--names", "x"], "--names is of scores; found list and csv"),
    (["--to", "ma52", "--annotator", "a"], "--annotator is of csv, elan, label-studio, labelu; found ma52"),
    (["--from", "elan", "--fps", "25"], "--fps is of csv, epic, label-studio, mma52; found elan"),
    (["--to", "epic", "--split", "val"], "--split names the split that FILEs of --from are; records have their own"),
])  # fmt: skip
def test_options_of_other_formats_are_refused(run, options, said):
    refused = run("convert", *options)
    assert (refused.code, refused.err) == (2, f"mma82 convert: {said}\n")


def test_a_tree_and_a_dummy_list(run, tmp_path):
    for path in ("train/Tilting_forward_backward/b.mp4", "val/Nodding/a.AVI", "val/Nodding/notes.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"")
    result = run("convert", "--from", "tree", tmp_path)
    assert result.records == [
        {"video": "train/Tilting_forward_backward/b.mp4", "label": "Tilting forward/backward", "split": "train"},
        {"video": "val/Nodding/a.AVI", "label": "Nodding", "split": "val"},
    ]
    assert "1 files that are no videos" in result.err
    dummies = run("convert", "--from", "ma52", "--split", "test", stdin="a.mp4 0\nb.mp4 0\n")
    assert "dummies" in dummies.err and dummies.records[1] == {"video": "b.mp4", "label": "shaking body", "split": "test"}
    names = run("convert", "--from", "ma52", stdin="0\tshaking body\n5\tnodding\n").records
    assert names[0] == {"id": 0, "label": "shaking body", "body": "Body"}


def test_what_has_no_place_is_named_and_lines_stream(run):
    records = [{"video": f"v{i}", "label": 3, "zeta": i} for i in range(3)]
    result = run("convert", "--to", "list", stdin=as_lines(records))
    assert result.out == "v0 3\nv1 3\nv2 3\n" and "no place for zeta; left out" in result.err
    skipped = run("convert", "--to", "list", "--on-error", "skip", stdin=[records[0], {"video": "x", "label": "none"}])
    assert skipped.code == 1 and skipped.out == "v0 3\n" and json.loads(skipped.err.splitlines()[0])["line"] == 2


def test_rows_that_are_bad_are_skipped_with_their_line(run):
    table = b'\xef\xbb\xbfvideo;start;end;label\r\n"a\nb";1;2;3\r\n\r\nx\xff;1;2;3\r\nx;1;2;3;4\r\nx;nan;2;3\r\nz;1;2;nodding'
    result = run("convert", "--from", "csv", "--on-error", "skip", stdin=table)
    assert result.code == 1 and [r["video"] for r in result.records] == ["a\nb", "z"]
    faults = [json.loads(line) for line in result.err.splitlines()]
    assert [f["line"] for f in faults] == [5, 6, 7]
    words = ["bad UTF-8, byte 0xff", "the row has 5 cells", "field 'start' is"]
    assert all(w in f["error"] for w, f in zip(words, faults, strict=True))


def test_damaged_files_are_named(run, tmp_path):
    data = gzip.compress(b"video,label\n" + b"a.mp4,3\n" * 9999)
    for form in ("csv", "labelu", "pyskl"):
        for cut in (data[:-20], data[:12], b"\x1f\x8b\x08damaged"):
            result = run("convert", "--from", form, "-o", tmp_path / "out", stdin=cut)
            assert result.code == 1 and "<stdin>: damaged gzip data" in result.err and result.err.count("\n") == 1, result.err
    result = run("convert", "--from", "mac-mar", stdin=b"PK\x03\x04nothing")
    assert result.code == 1 and "<stdin>: damaged zip file" in result.err and not list(tmp_path.iterdir())
