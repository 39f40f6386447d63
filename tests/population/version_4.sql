BEGIN TRANSACTION;
CREATE TABLE artifacts (
	run_id VARCHAR(40) NOT NULL, 
	evaluation BIGINT NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	body BLOB NOT NULL, 
	PRIMARY KEY (run_id, evaluation, name)
);
CREATE TABLE calls (
	run_id VARCHAR(40) NOT NULL, 
	id BIGINT NOT NULL, 
	candidate BIGINT NOT NULL, 
	purpose VARCHAR(20) NOT NULL, 
	number INTEGER NOT NULL, 
	stage VARCHAR(80) NOT NULL, 
	replicate INTEGER NOT NULL, 
	instance INTEGER NOT NULL, 
	request VARCHAR(40), 
	state VARCHAR(10) NOT NULL, 
	model VARCHAR(200) NOT NULL, 
	prompt VARCHAR(40) NOT NULL, 
	completion VARCHAR(40), 
	tokens_in INTEGER NOT NULL, 
	tokens_out INTEGER NOT NULL, 
	tokens_cached INTEGER NOT NULL, 
	cost_usd FLOAT, 
	reserved_usd FLOAT, 
	error TEXT NOT NULL, 
	sent_at FLOAT NOT NULL, 
	seconds FLOAT, 
	PRIMARY KEY (run_id, id)
);
INSERT INTO "calls" VALUES('tiny-1',1,2,'propose',0,'',0,-1,NULL,'done','scripted','bd407bd4e37626ef99ec043d38965bd1','b96b7921938a7dfbcdd24287fab4d01a',236,15,0,0.0,0.0,'',1.79570333835041499133e+09,1.1577500004023022484e-04);
INSERT INTO "calls" VALUES('tiny-1',2,3,'propose',0,'',0,-1,NULL,'done','scripted','bd407bd4e37626ef99ec043d38965bd1','a912a12e2df8e4794ca154a75cbae60e',236,14,0,0.0,0.0,'',1.79570333835211563104e+09,8.19329998194007202982e-05);
INSERT INTO "calls" VALUES('tiny-1',3,4,'propose',0,'',0,-1,NULL,'done','scripted','bd407bd4e37626ef99ec043d38965bd1','eb7e2c137cdf069fd6c8f36a4e878769',236,15,0,0.0,0.0,'',1.79570333842261815066e+09,3.12928000084866653196e-04);
INSERT INTO "calls" VALUES('tiny-1',4,5,'propose',0,'',0,-1,NULL,'done','scripted','bd407bd4e37626ef99ec043d38965bd1','4aa044528ed439c518a72141493b9910',236,4,0,0.0,0.0,'',1.79570333842863965037e+09,1.96517999938805587589e-04);
INSERT INTO "calls" VALUES('tiny-1',5,6,'propose',0,'',0,-1,NULL,'done','scripted','3c15868959d758401adb91c504142e6a','b3ac0491cbe8025589d6fca00762eda2',263,22,0,0.0,0.0,'',1.79570333848316407206e+09,7.75419998717552516609e-05);
INSERT INTO "calls" VALUES('tiny-1',6,7,'propose',0,'',0,-1,NULL,'done','scripted','766f91a1263a20e44498b86ccbd86824','93da7d933168d6c22029bf6bf8815a5b',284,15,0,0.0,0.0,'',1.79570333850197839734e+09,7.8077999887682381086e-05);
INSERT INTO "calls" VALUES('tiny-1',7,8,'propose',0,'',0,-1,NULL,'sent','scripted','6396b0d6bc7dc4e74290161ba2fe285c',NULL,0,0,0,NULL,0.0,'',1.7957033385272107124e+09,NULL);
INSERT INTO "calls" VALUES('tiny-1',8,9,'propose',0,'',0,-1,NULL,'sent','scripted','20cf44917e3039b7ff4e31f0b47a78ab',NULL,0,0,0,NULL,0.0,'',1.79570333854292154317e+09,NULL);
CREATE TABLE candidates (
	run_id VARCHAR(40) NOT NULL, 
	id BIGINT NOT NULL, 
	origin VARCHAR(20) NOT NULL, 
	island INTEGER NOT NULL, 
	operator VARCHAR(20) NOT NULL, 
	parent BIGINT, 
	inspirations JSON NOT NULL, 
	status VARCHAR(20), 
	score FLOAT, 
	stderr FLOAT, 
	n INTEGER, 
	stage VARCHAR(60) NOT NULL, 
	metrics JSON NOT NULL, 
	features JSON NOT NULL, 
	feedback TEXT NOT NULL, 
	title TEXT NOT NULL, 
	hypothesis TEXT NOT NULL, 
	files JSON, 
	fingerprint VARCHAR(40), 
	duplicate_of BIGINT, 
	sketch JSON, 
	behaviour VARCHAR(40), 
	behaves_as BIGINT, 
	PRIMARY KEY (run_id, id)
);
INSERT INTO "candidates" VALUES('tiny-1',1,'initial',0,'',NULL,'[]','ok',0.0,NULL,1,'main','{"score": 0.0}','{}','','initial program','','{"initial.py": "56dde7221daf7659fa39225c5d96ba82"}','b7a6b6b20b4b29897ee1de6664546f14',NULL,'[3618773305, 1347625896]',NULL,NULL);
INSERT INTO "candidates" VALUES('tiny-1',2,'asked',0,'diff',1,'[]','ok',0.502,NULL,1,'main','{"score": 0.502}','{}','','return 0.502','','{"initial.py": "4231df26541f41df17bdb8e2ad3954a8"}','141c4f3c56350ab49bf8cfbc4406596d',NULL,'[105338224, 326361499]',NULL,NULL);
INSERT INTO "candidates" VALUES('tiny-1',3,'asked',1,'diff',1,'[]','crash',NULL,NULL,NULL,'main','{}','{}','7.0 is refused','return 7.0','','{"initial.py": "c888efae24c8f935bd58fe656ba344bf"}','9211260079cba5a194e74c8f11db083c',NULL,'[4166951515, 4194113818]',NULL,NULL);
INSERT INTO "candidates" VALUES('tiny-1',4,'asked',0,'diff',1,'[]','ok',2.504,NULL,1,'main','{"score": 2.504}','{}','','return 2.504','','{"initial.py": "4537da11a7f8f8c1a5dbfbee04de205b"}','fe521899bce071748d435b80e83296ae',NULL,'[3549205734, 3309505453]',NULL,NULL);
INSERT INTO "candidates" VALUES('tiny-1',5,'asked',1,'diff',1,'[]','edit_failed',NULL,NULL,NULL,'','{}','{}','the answer holds neither a SEARCH/REPLACE block nor a fenced file','','','{}',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "candidates" VALUES('tiny-1',6,'asked',0,'diff',2,'[1]','ok',8.00000000000000190125e-03,NULL,1,'main','{"score": 0.008000000000000002}','{}','','return 0.008000000000000002','','{"initial.py": "47f0ed2cef6efdf5cac1bc8b72e5c533"}','1533795459089fac3f6591f08e0f3253',NULL,'[304447981, 3835344337]',NULL,NULL);
INSERT INTO "candidates" VALUES('tiny-1',7,'asked',1,'diff',1,'[]',NULL,NULL,NULL,NULL,'','{}','{}','','return 0.507','','{"initial.py": "6d5289c7b221ce1b174fec45b9803760"}','2d1ecd8b5d8f873daed27a9f85990097',NULL,'[2741098876, 2291874040]',NULL,NULL);
INSERT INTO "candidates" VALUES('tiny-1',8,'asked',0,'rewrite',1,'[2, 4]',NULL,NULL,NULL,NULL,'','{}','{}','','','',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "candidates" VALUES('tiny-1',9,'asked',1,'rewrite',1,'[]',NULL,NULL,NULL,NULL,'','{}','{}','','','',NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE checkpoints (
	run_id VARCHAR(40) NOT NULL, 
	candidate BIGINT NOT NULL, 
	stage VARCHAR(80) NOT NULL, 
	replicate INTEGER NOT NULL, 
	instance INTEGER NOT NULL, 
	body BLOB NOT NULL, 
	PRIMARY KEY (run_id, candidate, stage, replicate, instance)
);
CREATE TABLE drafts (
	run_id VARCHAR(40) NOT NULL, 
	candidate BIGINT NOT NULL, 
	number INTEGER NOT NULL, 
	origin VARCHAR(10) NOT NULL, 
	call BIGINT NOT NULL, 
	status VARCHAR(20), 
	reason TEXT NOT NULL, 
	title TEXT NOT NULL, 
	hypothesis TEXT NOT NULL, 
	files JSON NOT NULL, 
	duplicate_of BIGINT, 
	PRIMARY KEY (run_id, candidate, number, origin)
);
INSERT INTO "drafts" VALUES('tiny-1',2,0,'turn',1,NULL,'','return 0.502','','{"initial.py": "4231df26541f41df17bdb8e2ad3954a8"}',NULL);
INSERT INTO "drafts" VALUES('tiny-1',3,0,'turn',2,NULL,'','return 7.0','','{"initial.py": "c888efae24c8f935bd58fe656ba344bf"}',NULL);
INSERT INTO "drafts" VALUES('tiny-1',4,0,'turn',3,NULL,'','return 2.504','','{"initial.py": "4537da11a7f8f8c1a5dbfbee04de205b"}',NULL);
INSERT INTO "drafts" VALUES('tiny-1',5,0,'turn',4,'edit_failed','the answer holds neither a SEARCH/REPLACE block nor a fenced file','','','{}',NULL);
INSERT INTO "drafts" VALUES('tiny-1',6,0,'turn',5,NULL,'','return 0.008000000000000002','','{"initial.py": "47f0ed2cef6efdf5cac1bc8b72e5c533"}',NULL);
INSERT INTO "drafts" VALUES('tiny-1',7,0,'turn',6,NULL,'','return 0.507','','{"initial.py": "6d5289c7b221ce1b174fec45b9803760"}',NULL);
CREATE TABLE evaluations (
	run_id VARCHAR(40) NOT NULL, 
	id BIGINT NOT NULL, 
	candidate BIGINT NOT NULL, 
	stage VARCHAR(60) NOT NULL, 
	draft VARCHAR(20), 
	revision INTEGER NOT NULL, 
	replicate INTEGER NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	score FLOAT, 
	metrics JSON NOT NULL, 
	features JSON NOT NULL, 
	feedback TEXT NOT NULL, 
	instances JSON NOT NULL, 
	curve JSON NOT NULL, 
	seconds FLOAT NOT NULL, 
	turn_s FLOAT NOT NULL, 
	cpu_s FLOAT NOT NULL, 
	memory_mb FLOAT NOT NULL, 
	node VARCHAR(200) NOT NULL, 
	node_class JSON NOT NULL, 
	isolation VARCHAR(20) NOT NULL, 
	PRIMARY KEY (run_id, id)
);
INSERT INTO "evaluations" VALUES('tiny-1',1,1,'small',NULL,0,0,'ok',0.0,'{"score": 0.0}','{}','','[]','[]',0.0,0.0,0.0,0.0,'','{}','');
INSERT INTO "evaluations" VALUES('tiny-1',2,1,'main',NULL,0,0,'ok',0.0,'{"score": 0.0}','{}','','[]','[]',0.0,0.0,0.0,0.0,'','{}','');
INSERT INTO "evaluations" VALUES('tiny-1',3,1,'main',NULL,0,1,'ok',0.0,'{"score": 0.0}','{}','','[]','[]',0.0,0.0,0.0,0.0,'','{}','');
INSERT INTO "evaluations" VALUES('tiny-1',4,2,'small',NULL,0,0,'ok',0.251,'{"score": 0.251}','{}','','[]','[]',0.0,0.0,0.0,0.0,'','{}','');
INSERT INTO "evaluations" VALUES('tiny-1',5,2,'main',NULL,0,0,'ok',0.502,'{"score": 0.502}','{}','','[]','[]',0.0,0.0,0.0,0.0,'','{}','');
INSERT INTO "evaluations" VALUES('tiny-1',6,2,'main',NULL,0,1,'ok',0.502,'{"score": 0.502}','{}','','[]','[]',0.0,0.0,0.0,0.0,'','{}','');
INSERT INTO "evaluations" VALUES('tiny-1',7,3,'small',NULL,0,0,'ok',3.5,'{"score": 3.5}','{}','','[]','[]',0.0,0.0,0.0,0.0,'','{}','');
INSERT INTO "evaluations" VALUES('tiny-1',8,3,'main',NULL,0,0,'crash',NULL,'{}','{}','7.0 is refused','[]','[]',0.0,0.0,0.0,0.0,'','{}','');
INSERT INTO "evaluations" VALUES('tiny-1',9,4,'small',NULL,0,0,'ok',1.252,'{"score": 1.252}','{}','','[]','[]',0.0,0.0,0.0,0.0,'','{}','');
INSERT INTO "evaluations" VALUES('tiny-1',10,4,'main',NULL,0,0,'ok',2.504,'{"score": 2.504}','{}','','[]','[]',0.0,0.0,0.0,0.0,'','{}','');
INSERT INTO "evaluations" VALUES('tiny-1',11,4,'main',NULL,0,1,'ok',2.504,'{"score": 2.504}','{}','','[]','[]',0.0,0.0,0.0,0.0,'','{}','');
INSERT INTO "evaluations" VALUES('tiny-1',12,6,'small',NULL,0,0,'ok',4.00000000000000095062e-03,'{"score": 0.004000000000000001}','{}','','[]','[]',0.0,0.0,0.0,0.0,'','{}','');
INSERT INTO "evaluations" VALUES('tiny-1',13,6,'main',NULL,0,0,'ok',8.00000000000000190125e-03,'{"score": 0.008000000000000002}','{}','','[]','[]',0.0,0.0,0.0,0.0,'','{}','');
CREATE TABLE events (
	run_id VARCHAR(40) NOT NULL, 
	seq BIGINT NOT NULL, 
	kind VARCHAR(20) NOT NULL, 
	candidate BIGINT, 
	data JSON NOT NULL, 
	at FLOAT NOT NULL, 
	PRIMARY KEY (run_id, seq)
);
INSERT INTO "events" VALUES('tiny-1',2,'proposed',1,'{"files": {"initial.py": "56dde7221daf7659fa39225c5d96ba82"}, "title": "initial program", "hypothesis": "", "status": null, "reason": "", "duplicate_of": null, "draft": null, "admitted": 0}',1.79570333833647203438e+09);
INSERT INTO "events" VALUES('tiny-1',1,'added',1,'{"origin": "initial", "islands": [0, 1]}',1.79570333834303283689e+09);
INSERT INTO "events" VALUES('tiny-1',3,'told',1,'{"status": "ok", "score": 0.0, "stage_scores": {"small": 0.0, "main": 0.0}, "vector": [], "behaves_as": null}',1.79570333834303283689e+09);
INSERT INTO "events" VALUES('tiny-1',4,'asked',2,'{"request": "proposal", "island": 0, "operator": "diff", "parent": 1, "inspirations": [], "tried": [], "thresholds": {}, "prompt": 0}',1.79570333834426641467e+09);
INSERT INTO "events" VALUES('tiny-1',6,'asked',3,'{"request": "proposal", "island": 1, "operator": "diff", "parent": 1, "inspirations": [], "tried": [], "thresholds": {}, "prompt": 0}',1.79570333834436845783e+09);
INSERT INTO "events" VALUES('tiny-1',5,'proposed',2,'{"files": {"initial.py": "4231df26541f41df17bdb8e2ad3954a8"}, "title": "return 0.502", "hypothesis": "", "status": null, "reason": "", "duplicate_of": null, "draft": 0, "admitted": 1}',1.79570333841485261922e+09);
INSERT INTO "events" VALUES('tiny-1',8,'asked',4,'{"request": "proposal", "island": 0, "operator": "diff", "parent": 1, "inspirations": [], "tried": [], "thresholds": {}, "prompt": 0}',1.79570333841537618639e+09);
INSERT INTO "events" VALUES('tiny-1',7,'proposed',3,'{"files": {"initial.py": "c888efae24c8f935bd58fe656ba344bf"}, "title": "return 7.0", "hypothesis": "", "status": null, "reason": "", "duplicate_of": null, "draft": 0, "admitted": 2}',1.79570333842440366741e+09);
INSERT INTO "events" VALUES('tiny-1',10,'asked',5,'{"request": "proposal", "island": 1, "operator": "diff", "parent": 1, "inspirations": [], "tried": [], "thresholds": {}, "prompt": 0}',1.79570333842806291579e+09);
INSERT INTO "events" VALUES('tiny-1',12,'told',2,'{"status": "ok", "score": 0.502, "stage_scores": {"small": 0.251, "main": 0.502}, "vector": [], "behaves_as": null}',1.79570333844194841388e+09);
INSERT INTO "events" VALUES('tiny-1',13,'told',3,'{"status": "crash", "score": null, "stage_scores": {"small": 3.5}, "vector": [], "behaves_as": null}',1.7957033384541223049e+09);
INSERT INTO "events" VALUES('tiny-1',9,'proposed',4,'{"files": {"initial.py": "4537da11a7f8f8c1a5dbfbee04de205b"}, "title": "return 2.504", "hypothesis": "", "status": null, "reason": "", "duplicate_of": null, "draft": 0, "admitted": 3}',1.79570333847339773172e+09);
INSERT INTO "events" VALUES('tiny-1',14,'asked',6,'{"request": "proposal", "island": 0, "operator": "diff", "parent": 2, "inspirations": [1], "tried": [], "thresholds": {}, "prompt": 0}',1.79570333847369265553e+09);
INSERT INTO "events" VALUES('tiny-1',11,'proposed',5,'{"files": {}, "title": "", "hypothesis": "", "status": "edit_failed", "reason": "the answer holds neither a SEARCH/REPLACE block nor a fenced file", "duplicate_of": null, "draft": 0, "admitted": 4}',1.79570333849013972276e+09);
INSERT INTO "events" VALUES('tiny-1',16,'told',5,'{"status": "edit_failed", "score": null, "stage_scores": {}, "vector": [], "behaves_as": null}',1.79570333849321460721e+09);
INSERT INTO "events" VALUES('tiny-1',17,'asked',7,'{"request": "proposal", "island": 1, "operator": "diff", "parent": 1, "inspirations": [], "tried": [2, 3, 5], "thresholds": {}, "prompt": 0}',1.79570333849349045751e+09);
INSERT INTO "events" VALUES('tiny-1',19,'told',4,'{"status": "ok", "score": 2.504, "stage_scores": {"small": 1.252, "main": 2.504}, "vector": [], "behaves_as": null}',1.79570333850824689868e+09);
INSERT INTO "events" VALUES('tiny-1',15,'proposed',6,'{"files": {"initial.py": "47f0ed2cef6efdf5cac1bc8b72e5c533"}, "title": "return 0.008000000000000002", "hypothesis": "", "status": null, "reason": "", "duplicate_of": null, "draft": 0, "admitted": 5}',1.79570333852603435521e+09);
INSERT INTO "events" VALUES('tiny-1',20,'asked',8,'{"request": "proposal", "island": 0, "operator": "rewrite", "parent": 1, "inspirations": [2, 4], "tried": [2, 3, 5, 4], "thresholds": {}, "prompt": 0}',1.79570333852631378174e+09);
INSERT INTO "events" VALUES('tiny-1',18,'proposed',7,'{"files": {"initial.py": "6d5289c7b221ce1b174fec45b9803760"}, "title": "return 0.507", "hypothesis": "", "status": null, "reason": "", "duplicate_of": null, "draft": 0, "admitted": 6}',1.7957033385370166302e+09);
INSERT INTO "events" VALUES('tiny-1',22,'asked',9,'{"request": "proposal", "island": 1, "operator": "rewrite", "parent": 1, "inspirations": [], "tried": [2, 3, 5, 4], "thresholds": {}, "prompt": 0}',1.79570333853909468646e+09);
INSERT INTO "events" VALUES('tiny-1',24,'told',6,'{"status": "ok", "score": 0.008000000000000002, "stage_scores": {"small": 0.004000000000000001, "main": 0.008000000000000002}, "vector": [], "behaves_as": null}',1.79570333854694271086e+09);
CREATE TABLE inbox (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	run_id VARCHAR(40) NOT NULL, 
	kind VARCHAR(20) NOT NULL, 
	body JSON NOT NULL, 
	answer JSON
);
CREATE TABLE runs (
	run_id VARCHAR(40) NOT NULL, 
	problem VARCHAR(200) NOT NULL, 
	problem_path TEXT NOT NULL, 
	problem_hash VARCHAR(40) NOT NULL, 
	config JSON NOT NULL, 
	words JSON NOT NULL, 
	versions JSON NOT NULL, 
	isolation VARCHAR(20) NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	reason TEXT NOT NULL, 
	created_at FLOAT NOT NULL, 
	wall_s FLOAT NOT NULL, 
	busy JSON NOT NULL, 
	lease_owner TEXT NOT NULL, 
	lease_epoch INTEGER NOT NULL, 
	heartbeat_at FLOAT NOT NULL, 
	PRIMARY KEY (run_id)
);
INSERT INTO "runs" VALUES('tiny-1','tiny','/p','4336a3d4636b3b99','{"seed": 1, "budget": {"candidates": 10, "evaluations": null, "usd": null, "tokens": null, "seconds": null}, "problem": "tiny"}','[]','{"python": "3.11.7", "evolve-engine": "0.1.0", "numpy": "2.4.6", "sqlalchemy": "2.1.9", "litellm": "1.110.2", "ray": "2.60.0"}','none','running','',1.79570333825781154636e+09,0.0,'{}','',1,1.79570333854898214341e+09);
CREATE TABLE schema (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "schema" VALUES(4);
CREATE TABLE texts (
	run_id VARCHAR(40) NOT NULL, 
	hash VARCHAR(40) NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (run_id, hash)
);
INSERT INTO "texts" VALUES('tiny-1','56dde7221daf7659fa39225c5d96ba82','def f():
    return 0
');
INSERT INTO "texts" VALUES('tiny-1','bd407bd4e37626ef99ec043d38965bd1','You write programs that are measured. You are given a task and what is known about programs that were tried on it; you answer with one program or one change, in the form that is asked for at the end. Every answer is run and measured; nothing else counts.
Begin with two lines:
TITLE: what you change, in at most 8 words
HYPOTHESIS: what should get better, and why, in one sentence
Then give the program or the change.
---
# Task

Write `f`.

Objective: maximize score.
Called: `f`. Time limits: stage small 10 s, stage main 10 s.

## Parent: candidate 1

score = 0
Time used: small: 0 s of 10 s, main: 0 s of 10 s.

```python
def f():
    return 0
```

## Your answer

Change the parent by blocks of this form:

<<<<<<< SEARCH
lines of the parent
=======
lines that replace them
>>>>>>> REPLACE

There may be several blocks. Each SEARCH is copied exactly, as whole lines, from the parent and found there once.

`f` keeps its name and its parameters.
');
INSERT INTO "texts" VALUES('tiny-1','b96b7921938a7dfbcdd24287fab4d01a','TITLE: return 0.502
```python
def f():
    return 0.502
```
');
INSERT INTO "texts" VALUES('tiny-1','a912a12e2df8e4794ca154a75cbae60e','TITLE: return 7.0
```python
def f():
    return 7.0
```
');
INSERT INTO "texts" VALUES('tiny-1','4231df26541f41df17bdb8e2ad3954a8','def f():
    return 0.502
');
INSERT INTO "texts" VALUES('tiny-1','c888efae24c8f935bd58fe656ba344bf','def f():
    return 7.0
');
INSERT INTO "texts" VALUES('tiny-1','eb7e2c137cdf069fd6c8f36a4e878769','TITLE: return 2.504
```python
def f():
    return 2.504
```
');
INSERT INTO "texts" VALUES('tiny-1','4aa044528ed439c518a72141493b9910','I would rather not.');
INSERT INTO "texts" VALUES('tiny-1','4537da11a7f8f8c1a5dbfbee04de205b','def f():
    return 2.504
');
INSERT INTO "texts" VALUES('tiny-1','3c15868959d758401adb91c504142e6a','You write programs that are measured. You are given a task and what is known about programs that were tried on it; you answer with one program or one change, in the form that is asked for at the end. Every answer is run and measured; nothing else counts.
Begin with two lines:
TITLE: what you change, in at most 8 words
HYPOTHESIS: what should get better, and why, in one sentence
Then give the program or the change.
---
# Task

Write `f`.

Objective: maximize score.
Called: `f`. Time limits: stage small 10 s, stage main 10 s.

## Inspiration: candidate 1

score = 0 (worse than the parent)

```python
def f():
    return 0
```

## Parent: candidate 2

score = 0.502
Time used: small: 0 s of 10 s, main: 0 s of 10 s.

```python
def f():
    return 0.502
```

## Your answer

Change the parent by blocks of this form:

<<<<<<< SEARCH
lines of the parent
=======
lines that replace them
>>>>>>> REPLACE

There may be several blocks. Each SEARCH is copied exactly, as whole lines, from the parent and found there once.

`f` keeps its name and its parameters.
');
INSERT INTO "texts" VALUES('tiny-1','766f91a1263a20e44498b86ccbd86824','You write programs that are measured. You are given a task and what is known about programs that were tried on it; you answer with one program or one change, in the form that is asked for at the end. Every answer is run and measured; nothing else counts.
Begin with two lines:
TITLE: what you change, in at most 8 words
HYPOTHESIS: what should get better, and why, in one sentence
Then give the program or the change.
---
# Task

Write `f`.

Objective: maximize score.
Called: `f`. Time limits: stage small 10 s, stage main 10 s.

## Parent: candidate 1

score = 0
Time used: small: 0 s of 10 s, main: 0 s of 10 s.

```python
def f():
    return 0
```

## Already tried from this parent

- return 0.502: +0.502
- return 7.0: crash (7.0 is refused)
- candidate 5: edit_failed (the answer holds neither a SEARCH/REPLACE block nor a fenced file)

## Your answer

Change the parent by blocks of this form:

<<<<<<< SEARCH
lines of the parent
=======
lines that replace them
>>>>>>> REPLACE

There may be several blocks. Each SEARCH is copied exactly, as whole lines, from the parent and found there once.

`f` keeps its name and its parameters.
');
INSERT INTO "texts" VALUES('tiny-1','b3ac0491cbe8025589d6fca00762eda2','TITLE: return 0.008000000000000002
```python
def f():
    return 0.008000000000000002
```
');
INSERT INTO "texts" VALUES('tiny-1','93da7d933168d6c22029bf6bf8815a5b','TITLE: return 0.507
```python
def f():
    return 0.507
```
');
INSERT INTO "texts" VALUES('tiny-1','47f0ed2cef6efdf5cac1bc8b72e5c533','def f():
    return 0.008000000000000002
');
INSERT INTO "texts" VALUES('tiny-1','6396b0d6bc7dc4e74290161ba2fe285c','You write programs that are measured. You are given a task and what is known about programs that were tried on it; you answer with one program or one change, in the form that is asked for at the end. Every answer is run and measured; nothing else counts.
Begin with two lines:
TITLE: what you change, in at most 8 words
HYPOTHESIS: what should get better, and why, in one sentence
Then give the program or the change.
---
# Task

Write `f`.

Objective: maximize score.
Called: `f`. Time limits: stage small 10 s, stage main 10 s.

## Inspiration: candidate 2

score = 0.502 (better than the parent)

```python
def f():
    return 0.502
```

## Inspiration: candidate 4

score = 2.504 (better than the parent)

```python
def f():
    return 2.504
```

## Parent: candidate 1

score = 0
Time used: small: 0 s of 10 s, main: 0 s of 10 s.

```python
def f():
    return 0
```

## Already tried from this parent

- return 0.502: +0.502
- return 7.0: crash (7.0 is refused)
- candidate 5: edit_failed (the answer holds neither a SEARCH/REPLACE block nor a fenced file)
- return 2.504: +2.504

## Your answer

Write the whole program anew, by a different idea than the parent''s where you have one. Give each file whole, in a fenced block.

`f` keeps its name and its parameters.
');
INSERT INTO "texts" VALUES('tiny-1','6d5289c7b221ce1b174fec45b9803760','def f():
    return 0.507
');
INSERT INTO "texts" VALUES('tiny-1','20cf44917e3039b7ff4e31f0b47a78ab','You write programs that are measured. You are given a task and what is known about programs that were tried on it; you answer with one program or one change, in the form that is asked for at the end. Every answer is run and measured; nothing else counts.
Begin with two lines:
TITLE: what you change, in at most 8 words
HYPOTHESIS: what should get better, and why, in one sentence
Then give the program or the change.
---
# Task

Write `f`.

Objective: maximize score.
Called: `f`. Time limits: stage small 10 s, stage main 10 s.

## Parent: candidate 1

score = 0
Time used: small: 0 s of 10 s, main: 0 s of 10 s.

```python
def f():
    return 0
```

## Already tried from this parent

- return 0.502: +0.502
- return 7.0: crash (7.0 is refused)
- candidate 5: edit_failed (the answer holds neither a SEARCH/REPLACE block nor a fenced file)
- return 2.504: +2.504

## Your answer

Write the whole program anew, by a different idea than the parent''s where you have one. Give each file whole, in a fenced block.

`f` keeps its name and its parameters.
');
CREATE TABLE trials (
	run_id VARCHAR(40) NOT NULL, 
	id BIGINT NOT NULL, 
	candidate BIGINT NOT NULL, 
	vector JSON NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	score FLOAT, 
	PRIMARY KEY (run_id, id)
);
CREATE INDEX events_by_candidate ON events (run_id, candidate);
CREATE INDEX candidates_by_score ON candidates (run_id, status, score DESC, id);
CREATE INDEX calls_by_candidate ON calls (run_id, candidate);
CREATE INDEX calls_by_request ON calls (run_id, request);
CREATE INDEX evaluations_by_candidate ON evaluations (run_id, candidate);
DELETE FROM "sqlite_sequence";
COMMIT;
