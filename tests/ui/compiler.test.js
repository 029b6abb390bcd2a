// The compiler of the page's templates (plugin/page/compile.escript): what it makes of one.
'use strict';

const assert = require('node:assert/strict');
const {spawnSync} = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const {after, test} = require('node:test');
const vm = require('node:vm');

const compiler = path.join(__dirname, '../../plugin/page/compile.escript');
const format = path.join(__dirname, '../../plugin/page/format.js');
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'hot-backup-ui-'));

after(() => fs.rmSync(directory, {recursive: true, force: true}));

function compile(template) {
    const source = path.join(directory, 'sample.ejs');
    const show = path.join(directory, 'show.js');
    const output = path.join(directory, 'made/script.js');
    fs.writeFileSync(source, template);
    fs.writeFileSync(show, 'shown = templates.sample(given);\n');
    const {status, stderr} = spawnSync('escript', [compiler, output, source, format, show],
                                       {encoding: 'utf8'});
    return {status, stderr, script: status === 0 ? fs.readFileSync(output, 'utf8') : undefined};
}

function render(template, view) {
    const {status, stderr, script} = compile(template);
    assert.equal(status, 0, stderr);
    const context = vm.createContext({given: view, shown: undefined});
    vm.runInContext(script, context);
    return context.shown;
}

test('values are escaped unless they are markup', () => {
    assert.equal(render('<p title="<%= view.x %>"><%= view.x %></p><%- view.x %>', {x: '<"&\'>'}),
                 '<p title="&lt;&quot;&amp;&#39;&gt;">&lt;&quot;&amp;&#39;&gt;</p><"&\'>');
    assert.equal(render('<%= view.none %> <%= view.nothing %>', {nothing: null}), '- -');
});

test('text stays as it is', () => {
    const text = 'it\'s a "\\n" and \\ \u{1F407} \u05e2\nnext line';
    assert.equal(render(text, {}), text);
});

test('statements and comments leave no lines behind', () => {
    assert.equal(render('<%# nothing %>\n<% view.forEach(function(x) { %>\n<%= x %>,\n<% }); %>\nend',
                        [1, 2]), '1,\n2,\nend');
});

test('what cannot be compiled is named', () => {
    const unclosed = compile('text <%= view');
    assert.equal(unclosed.status, 1);
    assert.match(unclosed.stderr, /sample\.ejs has a tag that is not closed/);
    const latin = compile(Buffer.from([0x66, 0xfc, 0x72]));
    assert.equal(latin.status, 1);
    assert.match(latin.stderr, /sample\.ejs is not UTF-8/);
});
