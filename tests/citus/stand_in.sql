-- A stand-in for the extension citus on plain PostgreSQL: it refuses what Citus refuses, and keeps count.
--
-- It is the other side of a wire. It proves which calls a migration makes, in which order and state, and that what
-- Citus refuses (performance reference, section 7.2) is not asked of it. It moves no row and proves nothing of shards,
-- nodes, plans or speed: tests/citus/test_cluster.py does, on a real cluster.

SET allow_system_table_mods = on;
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
    VALUES (16000, 'citus', 10, 'public'::regnamespace, false, 'stand-in');
RESET allow_system_table_mods;

CREATE TABLE public.stand_in (name text PRIMARY KEY, kind text NOT NULL, made_in xid8 NOT NULL, n serial);

CREATE FUNCTION stand_in_catalogue() RETURNS TABLE (logicalrelid regclass, partmethod "char") LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM stand_in WHERE made_in = pg_current_xact_id()) THEN
        RAISE EXCEPTION 'reading the catalogue in the transaction that distributes waits for ever';
    END IF;
    RETURN QUERY SELECT s.name::regclass, (CASE s.kind WHEN 'reference' THEN 'n' ELSE 'h' END)::"char" FROM stand_in s;
END $$;
CREATE VIEW pg_dist_partition AS SELECT * FROM stand_in_catalogue();

CREATE FUNCTION stand_in_take(part regclass, kind text, key text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    problem text;
BEGIN
    IF current_setting('citus.multi_shard_modify_mode', true) IS DISTINCT FROM 'sequential'
        AND EXISTS (SELECT FROM stand_in WHERE made_in = pg_current_xact_id()) THEN
        RAISE EXCEPTION 'cannot distribute %: parallel operations on distributed tables in the same transaction', part;
    END IF;
    IF current_setting('lock_timeout') = '0' THEN
        RAISE EXCEPTION 'cannot distribute %: no lock timeout is set', part;
    END IF;
    SELECT tgname INTO problem FROM pg_trigger WHERE tgrelid = part AND NOT tgisinternal LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'cannot distribute % because it has the trigger %', part, problem;
    END IF;
    SELECT conname INTO problem FROM pg_constraint WHERE contype = 'f' AND conrelid = part
        AND confrelid::regclass::text NOT IN (SELECT s.name FROM stand_in s) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'cannot create foreign key constraint % from % to a local table', problem, part;
    END IF;
    SELECT conname INTO problem FROM pg_constraint WHERE contype = 'f' AND confrelid = part AND conrelid <> part
        AND conrelid::regclass::text NOT IN (SELECT s.name FROM stand_in s) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'cannot distribute %: the local constraint % refers to it', part, problem;
    END IF;
    IF kind <> 'reference' THEN
        SELECT i.indexrelid::regclass::text INTO problem FROM pg_index i WHERE i.indrelid = part AND i.indisunique
            AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = part AND a.attname = key AND a.attnum = ANY (i.indkey));
        IF FOUND THEN
            RAISE EXCEPTION 'cannot create constraint %: UNIQUE and PRIMARY KEY must include the partition column', problem;
        END IF;
    END IF;
    INSERT INTO stand_in (name, kind, made_in) VALUES (part::text, kind, pg_current_xact_id());
END $$;

CREATE FUNCTION create_reference_table(part regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM stand_in_take(part, 'reference', '');
END $$;

CREATE FUNCTION create_distributed_table(part regclass, key text, colocate_with text DEFAULT 'default')
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one regclass;
BEGIN
    IF colocate_with <> 'default' AND NOT EXISTS (SELECT FROM stand_in WHERE name = colocate_with AND kind <> 'reference') THEN
        RAISE EXCEPTION 'cannot colocate % with %, which is not distributed', part, colocate_with;
    END IF;
    PERFORM stand_in_take(part, coalesce(nullif(colocate_with, 'default'), part::text), key);
    FOR one IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = part LOOP
        PERFORM stand_in_take(one, coalesce(nullif(colocate_with, 'default'), part::text), key);
    END LOOP;
END $$;
