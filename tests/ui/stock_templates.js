// The management UI before 4.3.4 compiles its own templates in the browser, with eval(). To see one
// of these versions under a policy that forbids it, its templates are compiled here, by its own
// compiler, and slipped into its cache. Those of the plugin are not touched.
'use strict';

const vm = require('node:vm');

const names = ['login', 'layout', 'status', 'popup', '404'];

async function serve_compiled_templates(page, url) {
    const text = async file => (await fetch(url + 'js/' + file)).text();
    const compiler_source = await text('ejs-1.0.js');
    const compiled = await Promise.all(names.map(async name => {
        const sandbox = vm.createContext({});
        vm.runInContext(compiler_source, sandbox);
        const compiler = new sandbox.EJS.Compiler(await text(`tmpl/${name}.ejs`), '<');
        compiler.compile({}, name);
        return `ejs_cached['${name}'] = true;\n` +
            `EJS.update('js/tmpl/${name}.ejs', {render: function(json) {\n` +
            `    return (${compiler.process}).call(json, json, {});\n}});\n`;
    }));
    // The last of the UI's scripts.
    await page.route('**/js/charts.js', async route => {
        const response = await route.fetch();
        await route.fulfill({response, body: await response.text() + '\n' + compiled.join('')});
    });
}

module.exports = {serve_compiled_templates};
