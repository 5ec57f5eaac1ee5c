-- Which version of each flow a file gave last: what runs after a start when the file has errors.
CREATE TABLE flow_files (
  file TEXT NOT NULL, flow TEXT NOT NULL, version TEXT NOT NULL,
  PRIMARY KEY (file, flow)
) WITHOUT ROWID;
